const MIB = 1024 * 1024

/** What one cleaning of one log did; times in seconds of the clock that is passed. */
export class CleaningStats {
  mapBytesRead = 0
  mapMessagesRead = 0
  bytesRead = 0
  bytesWritten = 0
  messagesRead = 0
  messagesWritten = 0
  /** Records without a key. */
  invalidMessages = 0
  bufferUtilization = 0
  readonly #started: number
  #indexed: number
  #ended: number

  constructor(now: number) {
    this.#started = this.#indexed = this.#ended = now
  }

  indexDone(now: number): void {
    this.#indexed = this.#ended = now
  }

  allDone(now: number): void {
    this.#ended = now
  }

  get elapsedSecs(): number {
    return (this.#ended - this.#started) / 1000
  }

  get elapsedIndexSecs(): number {
    return (this.#indexed - this.#started) / 1000
  }

  /** 1.1's lines about a cleaned log. */
  describe(thread: number, name: string, from: number, to: number): string {
    const { elapsedSecs: all, elapsedIndexSecs: indexing, bytesRead, bytesWritten, messagesRead, messagesWritten } = this
    const cleaning = all - indexing
    return [
      '',
      `\tLog cleaner thread ${thread} cleaned log ${name} (dirty section = [${from}, ${to}])`,
      `\t${mb(bytesRead)} MB of log processed in ${fixed(all)} seconds (${mb(bytesRead / all)} MB/sec).`,
      `\tIndexed ${mb(this.mapBytesRead)} MB in ${plain(indexing)} seconds (${mb(this.mapBytesRead / indexing)} Mb/sec, ${percent(indexing / all)}% of total time)`,
      `\tBuffer utilization: ${percent(this.bufferUtilization)}%`,
      `\tCleaned ${mb(bytesRead)} MB in ${plain(cleaning)} seconds (${mb(bytesRead / cleaning)} Mb/sec, ${percent(cleaning / all)}% of total time)`,
      `\tStart size: ${mb(bytesRead)} MB (${grouped(messagesRead)} messages)`,
      `\tEnd size: ${mb(bytesWritten)} MB (${grouped(messagesWritten)} messages)`,
      `\t${percent(1 - bytesWritten / bytesRead)}% size reduction (${percent(1 - messagesWritten / messagesRead)}% fewer messages)`,
      '',
    ].join('\n')
  }
}

function mb(bytes: number): string {
  return fixed(bytes / MIB)
}

function percent(part: number): string {
  return plain(100 * part)
}

/** As Java's %.1f. */
function plain(value: number): string {
  return Number.isFinite(value) ? value.toFixed(1) : Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity'
}

/** As Java's %,.1f. */
function fixed(value: number): string {
  const [whole, fraction] = plain(value).split('.')
  return fraction === undefined ? whole! : `${grouped(Number(whole))}.${fraction}`
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',')
}

const DAYS = ['Thu', 'Fri', 'Sat', 'Sun', 'Mon', 'Tue', 'Wed']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** As Java prints a date, in UTC: `Thu Jan 01 00:00:00 UTC 1970`. */
export function javaDate(epochMillis: number): string {
  if (Math.abs(epochMillis) > 8.64e15) return String(epochMillis)
  const [date, time] = new Date(epochMillis).toISOString().split('T')
  const [year, month, day] = date!.split('-').slice(-3)
  const weekday = DAYS[((Math.floor(epochMillis / 86_400_000) % 7) + 7) % 7]
  return `${weekday} ${MONTHS[Number(month) - 1]} ${day} ${time!.slice(0, 8)} UTC ${year}`
}
