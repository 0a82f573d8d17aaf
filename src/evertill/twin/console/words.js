// Numbers and names as people read them. Pure.

const MINUTE_S = 60;
const HOUR_S = 3600;

/** A duration in words that fit a sentence: "12 s", "3 min", "2 h 5 min". */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 2 * MINUTE_S) return `${whole} s`;
  if (whole < HOUR_S) return `${Math.floor(whole / MINUTE_S)} min`;
  const minutes = Math.floor((whole % HOUR_S) / MINUTE_S);
  return `${Math.floor(whole / HOUR_S)} h ${minutes} min`;
}

/** A time of the twin as a clock shows it: "4:07", "1:02:33". */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (value) => String(value).padStart(2, "0");
  const minutes = Math.floor(whole / MINUTE_S);
  if (whole < HOUR_S) return `${minutes}:${pad(whole % MINUTE_S)}`;
  return `${Math.floor(minutes / MINUTE_S)}:${pad(minutes % MINUTE_S)}:${pad(whole % MINUTE_S)}`;
}

/** A lag in seconds with as many digits as mean something. */
export function lag(ms) {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return duration(ms / 1000);
}

/** A number for a label: three digits or so. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 10_000) return `${Math.round(value / 1000)}k`;
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toFixed(1);
}

/** "1 alarm", "2 alarms". */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** "a", "a and b", "a, b and c". */
export function list(items) {
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** A sentence's first letter; what begins with a name such as us-east-1 stays as it is. */
export function capital(text) {
  return /^[a-z]+-/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

/** What tells one task, or another long id, from the others. */
export function brief(id) {
  const tail = id.split("/").at(-1);
  return /^[0-9a-f-]{20,}$/.test(tail) ? tail.slice(0, 6) : tail;
}
