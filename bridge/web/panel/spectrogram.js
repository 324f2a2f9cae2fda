/** Spectrograms as numbers and as colours: pure functions, without a page. */

const SIZE = 2048; // samples of a window
const FLOOR_DB = -80; // below the loudest

/** The lowest and highest frequency of the picture, whose axis is logarithmic. */
export const LOWEST_HZ = 40;
export const HIGHEST_HZ = 18000;

/**
 * Fast Fourier transform in place, radix 2 (Cooley and Tukey 1965).
 * @param {Float64Array} re @param {Float64Array} im of a power of two values
 */
export function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const angle = (-2 * Math.PI) / size;
    for (let k = 0; k < size / 2; k++) {
      const c = Math.cos(angle * k);
      const s = Math.sin(angle * k);
      for (let i = k; i < n; i += size) {
        const j = i + size / 2;
        const x = re[j] * c - im[j] * s;
        const y = re[j] * s + im[j] * c;
        re[j] = re[i] - x;
        im[j] = im[i] - y;
        re[i] += x;
        im[i] += y;
      }
    }
  }
}

/**
 * Levels in dB relative to the loudest, a column for each place in time, low frequencies first.
 * @param {Float32Array} samples @returns {Float32Array} [columns * rows], -80 .. 0
 */
export function levels(samples, rate, columns, rows) {
  const power = new Float32Array(columns * rows);
  const re = new Float64Array(SIZE);
  const im = new Float64Array(SIZE);
  const edges = Float64Array.from({ length: rows + 1 }, (_, row) =>
    (LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (row / rows) * SIZE) / rate);
  let top = 1e-12;
  for (let column = 0; column < columns; column++) {
    const middle = Math.floor(((column + 0.5) / columns) * samples.length);
    for (let i = 0; i < SIZE; i++) {
      const hann = 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / SIZE);
      re[i] = (samples[middle - SIZE / 2 + i] ?? 0) * hann;
      im[i] = 0;
    }
    fft(re, im);
    for (let row = 0; row < rows; row++) {
      const first = Math.floor(edges[row]);
      const last = Math.min(Math.max(first, Math.ceil(edges[row + 1]) - 1), SIZE / 2);
      let most = 0;
      for (let bin = first; bin <= last; bin++) most = Math.max(most, re[bin] ** 2 + im[bin] ** 2);
      power[column * rows + row] = most;
      top = Math.max(top, most);
    }
  }
  return power.map((value) => Math.max(FLOOR_DB, 10 * Math.log10(value / top + 1e-12)));
}

const STOPS = [[8, 12, 28], [44, 24, 92], [140, 41, 110], [222, 73, 104], [254, 159, 109], [252, 253, 191]];

/** The colour of a level, dark to light as it gets louder. @returns {number[]} red, green, blue */
export function colour(db) {
  const place = Math.min(Math.max(1 - db / FLOOR_DB, 0), 1) * (STOPS.length - 1);
  const low = Math.min(Math.floor(place), STOPS.length - 2);
  return STOPS[low].map((value, i) => value + (place - low) * (STOPS[low + 1][i] - value));
}

/** One channel of a sound: the mean of all. @param {AudioBuffer} buffer */
export function mono(buffer) {
  const sum = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    const data = buffer.getChannelData(c);
    for (let i = 0; i < sum.length; i++) sum[i] += data[i] / buffer.numberOfChannels;
  }
  return sum;
}
