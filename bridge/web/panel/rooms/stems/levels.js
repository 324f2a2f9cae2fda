/** Gains, levels and null depths in dB: pure functions. */

export const FLOOR_DB = -200; // silence

/** A gain in dB as a factor. */
export function dbToGain(db) {
  return 10 ** (db / 20);
}

/** A power relative to another in dB, at least -200. */
export function powerDb(power, reference = 1) {
  if (!(power > 0) || !(reference > 0)) return FLOOR_DB;
  return Math.max(FLOOR_DB, 10 * Math.log10(power / reference));
}

/**
 * The factor of each row of a mixer. A muted row is silent, also when it is soloed.
 * @param {{gainDb: number, mute: boolean, solo: boolean}[]} rows @returns {number[]}
 */
export function gainsOf(rows) {
  const anySolo = rows.some((row) => row.solo);
  return rows.map((row) => (row.mute || (anySolo && !row.solo) ? 0 : dbToGain(row.gainDb)));
}

/** The sum of all squared samples of a sound. @param {AudioBuffer} buffer */
export function energy(buffer) {
  let sum = 0;
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    const data = buffer.getChannelData(c);
    for (let i = 0; i < data.length; i++) sum += data[i] * data[i];
  }
  return sum;
}

/** The mean power of samples. @param {Float32Array} samples */
export function meanSquare(samples) {
  let sum = 0;
  for (let i = 0; i < samples.length; i++) sum += samples[i] * samples[i];
  return sum / samples.length;
}

/** A level for people: one decimal, and silence as such. */
export function decibels(db) {
  return db <= FLOOR_DB ? "silent" : `${db.toFixed(1)} dB`;
}
