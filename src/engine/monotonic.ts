/** CLOCK_MONOTONIC in milliseconds with fractions, the time of every cell of the region. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
