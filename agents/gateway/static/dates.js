// Dates as people read and choose them, in the zone of this browser. Times are seconds since the epoch.

const DAY = { day: "numeric", month: "long", year: "numeric" };
const MOMENT = { ...DAY, hour: "2-digit", minute: "2-digit" };

export const day = (seconds) => new Date(seconds * 1000).toLocaleDateString(undefined, DAY);
export const moment = (seconds) => new Date(seconds * 1000).toLocaleString(undefined, MOMENT);

/** The value of a date field for a time. */
export function fieldOf(seconds) {
  const date = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** The first moment of the day in a date field; null when none is chosen. */
export function startOfDay(value) {
  const [year, month, date] = value.split("-").map(Number);
  return date ? new Date(year, month - 1, date).getTime() / 1000 : null;
}

/** The last moment of the day in a date field; null when none is chosen. */
export function endOfDay(value) {
  const [year, month, date] = value.split("-").map(Number);
  return date ? new Date(year, month - 1, date + 1).getTime() / 1000 - 0.001 : null;
}
