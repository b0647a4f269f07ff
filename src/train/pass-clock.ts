/**
 * The time of passes that several trainings share, divided among them by the rows that each brings: what all of them took is then the time
 * that went by, however many there were.
 */

/** Shares of time by whose they are. Seconds; `now` gives milliseconds. */
export class PassClock<T> {
  private rows: ReadonlyMap<T, number> = new Map();
  private readonly spent = new Map<T, number>();
  private last = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** From here on the time is of these, by their rows. */
  share(rows: Iterable<readonly [T, number]>): void {
    this.charge();
    this.rows = new Map(rows);
  }

  /** What was its own since it was last asked. */
  take(of: T): number {
    this.charge();
    const seconds = this.spent.get(of) ?? 0;
    this.spent.delete(of);
    return seconds;
  }

  /** The time of `work` is nobody's. */
  async apart<R>(work: () => Promise<R>): Promise<R> {
    this.charge();
    const { rows } = this;
    this.rows = new Map();
    try {
      return await work();
    } finally {
      this.charge();
      this.rows = rows;
    }
  }

  /** From here on no time is of this one. */
  leave(of: T): void {
    this.charge();
    this.rows = new Map([...this.rows].filter(([one]) => one !== of));
    this.spent.delete(of);
  }

  private charge(): void {
    const now = this.now();
    const seconds = (now - this.last) / 1000;
    this.last = now;
    const all = [...this.rows.values()].reduce((sum, n) => sum + n, 0);
    for (const [one, n] of this.rows) this.spent.set(one, (this.spent.get(one) ?? 0) + (seconds * n) / all);
  }
}
