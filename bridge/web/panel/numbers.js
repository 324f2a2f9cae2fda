/** Numbers as people type and read them, with a point or a comma: pure functions. */

/** The number of a text such as `1.5`, `1,5` or `-3`; null for what is none. */
export function parseNumber(text) {
  const plain = text.trim().replace(",", ".");
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : null;
}

/** A number in at most `digits` significant digits, never as 1e3. */
export function formatNumber(value, digits = 4) {
  return String(Number(Number(value).toPrecision(digits)));
}

/** Why a value is not taken, or "": it must be a number within the bounds, where there are some. */
export function wrongNumber(text, min, max) {
  const value = parseNumber(text);
  if (value === null) return `a number, such as 1.5 or 1,5; got ${text.trim() || "nothing"}`;
  if ((min !== undefined && value < min) || (max !== undefined && value > max)) {
    return `must be ${min ?? "any"} to ${max ?? "any"}`;
  }
  return "";
}

/** Seconds as people say them: `8 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
