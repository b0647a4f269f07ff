/** `datetime.now().strftime(format)` as Python has it on Linux, in the C locale and the local time zone, of which a naive time knows nothing. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July'],
  ...['August', 'September', 'October', 'November', 'December'],
];

/** What a code gives, and what it is filled with to its width. */
type Code = readonly [text: string | number, width?: number, fill?: string];

export function strftime(now: Date, format: string): string {
  const code = /%([-_0^#]*)(\d*)([EO]?)([a-zA-Z%+])/g;
  return format.replace(code, (all, flags: string, width: string, _: string, letter: string) => {
    const make = CODES[letter];
    if (!make) return all;
    const [value, usual = 0, filled = '0'] = make(now);
    let text = String(value);
    let fill = typeof value === 'number' ? filled : ' ';
    let room = usual;
    for (const flag of flags) {
      if (flag === '^') text = text.toUpperCase();
      else if (flag === '#') text = 'pZ'.includes(letter) ? text.toLowerCase() : text.toUpperCase();
      else fill = flag === '_' ? ' ' : flag;
    }
    if (width !== '') room = Number(width);
    // A dash takes the filling away, but for a width of the format's own.
    return fill === '-' ? text : text.padStart(Math.min(room, 1024), fill);
  });
}

const hour12 = (d: Date): number => d.getHours() % 12 || 12;
const dayOfYear = (d: Date): number =>
  Math.round(
    (Date.UTC(d.getFullYear(), d.getMonth(), d.getDate()) - Date.UTC(d.getFullYear(), 0, 1)) / 864e5,
  ) + 1;
/** Weeks since the first one that begins with `first`. */
const week = (d: Date, first: number): number =>
  Math.floor((dayOfYear(d) + 6 - ((d.getDay() - first + 7) % 7)) / 7);

function iso(d: Date): { year: number; week: number } {
  const thursday = new Date(Date.UTC(d.getFullYear(), d.getMonth(), d.getDate() + 4 - (d.getDay() || 7)));
  const year = thursday.getUTCFullYear();
  return { year, week: Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * 864e5)) + 1 };
}

const CODES: Readonly<Record<string, ((d: Date) => Code) | undefined>> = {
  a: (d) => [DAYS[d.getDay()]!.slice(0, 3)],
  A: (d) => [DAYS[d.getDay()]!],
  b: (d) => [MONTHS[d.getMonth()]!.slice(0, 3)],
  h: (d) => [MONTHS[d.getMonth()]!.slice(0, 3)],
  B: (d) => [MONTHS[d.getMonth()]!],
  c: (d) => [strftime(d, '%a %b %e %H:%M:%S %Y')],
  C: (d) => [Math.floor(d.getFullYear() / 100), 2],
  d: (d) => [d.getDate(), 2],
  D: (d) => [strftime(d, '%m/%d/%y')],
  e: (d) => [d.getDate(), 2, ' '],
  f: (d) => [String(d.getMilliseconds() * 1000).padStart(6, '0')],
  F: (d) => [strftime(d, '%Y-%m-%d')],
  g: (d) => [iso(d).year % 100, 2],
  G: (d) => [iso(d).year, 4],
  H: (d) => [d.getHours(), 2],
  I: (d) => [hour12(d), 2],
  j: (d) => [dayOfYear(d), 3],
  k: (d) => [d.getHours(), 2, ' '],
  l: (d) => [hour12(d), 2, ' '],
  m: (d) => [d.getMonth() + 1, 2],
  M: (d) => [d.getMinutes(), 2],
  n: () => ['\n'],
  p: (d) => [d.getHours() < 12 ? 'AM' : 'PM'],
  P: (d) => [d.getHours() < 12 ? 'am' : 'pm'],
  r: (d) => [strftime(d, '%I:%M:%S %p')],
  R: (d) => [strftime(d, '%H:%M')],
  s: (d) => [Math.floor(d.getTime() / 1000)],
  S: (d) => [d.getSeconds(), 2],
  t: () => ['\t'],
  T: (d) => [strftime(d, '%H:%M:%S')],
  u: (d) => [d.getDay() || 7, 1],
  U: (d) => [week(d, 0), 2],
  V: (d) => [iso(d).week, 2],
  w: (d) => [d.getDay(), 1],
  W: (d) => [week(d, 1), 2],
  x: (d) => [strftime(d, '%m/%d/%y')],
  X: (d) => [strftime(d, '%H:%M:%S')],
  y: (d) => [d.getFullYear() % 100, 2],
  Y: (d) => [d.getFullYear(), 1],
  z: () => [''],
  Z: () => [''],
  '%': () => ['%'],
};
