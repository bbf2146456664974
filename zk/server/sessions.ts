/** A session, connected or not. */
export interface Session<C> {
  readonly id: number
  timeoutMs: number
  /** Milliseconds of the server's monotonic clock; always on a tick boundary. */
  deadline: number
  connection: C | null
}

/**
 * The sessions and when they expire. As in the genuine server a deadline is rounded up to the next tick boundary, strictly after the
 * asked time; all of one boundary expire together.
 */
export class SessionTable<C> {
  private readonly sessions = new Map<number, Session<C>>()
  /** Boundary -> sessions filed there. A touched session stays in its old bucket until that boundary comes: touching is the hot path. */
  private readonly buckets = new Map<number, Set<Session<C>>>()
  private readonly tickMs: number

  constructor(tickMs: number) {
    this.tickMs = tickMs
  }

  get size(): number {
    return this.sessions.size
  }

  get(id: number): Session<C> | undefined {
    return this.sessions.get(id)
  }

  values(): IterableIterator<Session<C>> {
    return this.sessions.values()
  }

  add(id: number, timeoutMs: number, now: number): Session<C> {
    const session: Session<C> = { id, timeoutMs, deadline: this.boundary(now + timeoutMs), connection: null }
    this.sessions.set(id, session)
    this.file(session)
    return session
  }

  touch(session: Session<C>, now: number): void {
    session.deadline = this.boundary(now + session.timeoutMs)
  }

  /** A resumed session may bring a shorter timeout, which must not wait for the old bucket. */
  setTimeout(session: Session<C>, timeoutMs: number, now: number): void {
    session.timeoutMs = timeoutMs
    this.touch(session, now)
    this.file(session)
  }

  remove(session: Session<C>): void {
    this.sessions.delete(session.id)
  }

  /** Sessions whose deadline has come. They stay in the table until removed. */
  due(now: number): Session<C>[] {
    const expired: Session<C>[] = []
    for (const boundary of [...this.buckets.keys()].sort((a, b) => a - b)) {
      if (boundary > now) break
      const bucket = this.buckets.get(boundary)!
      this.buckets.delete(boundary)
      for (const session of bucket) {
        if (this.sessions.get(session.id) !== session) continue
        if (session.deadline <= now) expired.push(session)
        else this.file(session)
      }
    }
    // a session can stand in several buckets; its removal after the first is the caller's, so report it once
    return [...new Set(expired)]
  }

  /** When {@link due} should be asked next; `null` when there is nothing to wait for. */
  nextCheck(): number | null {
    let next: number | null = null
    for (const boundary of this.buckets.keys()) if (next === null || boundary < next) next = boundary
    return next
  }

  private file(session: Session<C>): void {
    const bucket = this.buckets.get(session.deadline)
    if (bucket === undefined) this.buckets.set(session.deadline, new Set([session]))
    else bucket.add(session)
  }

  private boundary(time: number): number {
    return (Math.floor(time / this.tickMs) + 1) * this.tickMs
  }
}
