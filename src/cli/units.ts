/** Sizes and times for a person. */

export function gib(bytes: number): string {
  return bytes === 0 ? '' : (bytes / 2 ** 30).toFixed(bytes < 2 ** 30 ? 3 : 2);
}

export function duration(seconds: number): string {
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = seconds / 60;
  return minutes < 90 ? `${minutes.toFixed(0)} min` : `${(minutes / 60).toFixed(1)} h`;
}
