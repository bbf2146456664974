import { type Canonical, CREDENTIALS, type Normalizer, OpGenerator, type RandomOp, SeededRandom } from './random-ops.ts'
import { Packet, RawClient, type Received } from './raw-client.ts'

const CONNECTIONS = 3
const SET_ACL = 7

export interface DifferentialResult {
  readonly operations: number
  readonly events: number
  /** How often each error number was answered: shows that the run met more than the sunny side. */
  readonly errors: ReadonlyMap<number, number>
  /** The first difference, `null` when there was none. */
  readonly mismatch: string | null
}

type Step =
  | { readonly kind: 'ops'; readonly connection: number; readonly ops: readonly RandomOp[] }
  | { readonly kind: 'auth'; readonly connection: number; readonly scheme: string; readonly credentials: string }
  | { readonly kind: 'unknownOp'; readonly connection: number; readonly type: number }
  | {
      readonly kind: 'resume'
      readonly connection: number
      readonly wrongPassword: boolean
      readonly oldClient: boolean
      readonly cut: boolean
    }
  | { readonly kind: 'renew'; readonly connection: number }

/**
 * Runs the same random operations on two fresh servers and compares everything they say: answers with their zxids, statistics and left
 * over bytes, events with their position, what a refused or stolen session hears. Stops at the first difference.
 */
export async function compareServers(
  portA: number,
  portB: number,
  seed: number,
  operations: number,
): Promise<DifferentialResult> {
  const random = new SeededRandom(seed)
  const [a, b] = [new Side(portA), new Side(portB)]
  const generator = new OpGenerator(random, () => a.lastZxid)
  const errors = new Map<number, number>()
  let [done, events] = [0, 0]
  try {
    await Promise.all([a.open(), b.open()])
    while (done < operations) {
      const step = nextStep(generator)
      const [left, right] = await Promise.all([a.run(step), b.run(step)])
      done += step.kind === 'ops' ? step.ops.length : 1
      events += countEvents(left, errors)
      const difference = firstDifference(left, right)
      if (difference !== null)
        return { operations: done, events, errors, mismatch: `seed ${seed}, ${describe(step)}\n${difference}` }
    }
    return { operations: done, events, errors, mismatch: null }
  } finally {
    await Promise.all([a.cut(), b.cut()])
  }
}

function nextStep(generator: OpGenerator): Step {
  const { random } = generator
  const connection = random.below(CONNECTIONS)
  const roll = random.below(1000)
  if (roll < 15) return { kind: 'auth', connection, ...pickAuth(random) }
  if (roll < 20) return { kind: 'unknownOp', connection, type: random.pick([10, 23, 77, 108, -1, 1000]) }
  if (roll < 45) {
    return {
      kind: 'resume',
      connection,
      wrongPassword: random.chance(0.2),
      oldClient: random.chance(0.5),
      cut: random.chance(0.5),
    }
  }
  if (roll < 60) return { kind: 'renew', connection }
  const ops: RandomOp[] = []
  // what follows a setAcl in the pipeline is judged by the old or the new ACL in the genuine server, as it happens
  for (let left = 1 + random.below(10); left > 0 && ops.at(-1)?.type !== SET_ACL; left--) ops.push(generator.next())
  return { kind: 'ops', connection, ops }
}

function pickAuth(random: SeededRandom): { scheme: string; credentials: string } {
  return { scheme: random.chance(0.85) ? 'digest' : random.pick(['ip', 'bogus', 'world']), credentials: random.pick(CREDENTIALS) }
}

function describe(step: Step): string {
  if (step.kind !== 'ops') return JSON.stringify(step)
  return `connection ${step.connection}:\n${step.ops.map((op) => `  ${op.text}`).join('\n')}`
}

function countEvents(outcome: Outcome, errors: Map<number, number>): number {
  let events = 0
  for (const stream of outcome) {
    for (const entry of stream as { event?: number; err?: number }[]) {
      if (entry.event !== undefined) events++
      else if (entry.err !== undefined) errors.set(entry.err, (errors.get(entry.err) ?? 0) + 1)
    }
  }
  return events
}

/** What each connection heard during a step. */
type Outcome = readonly (readonly Canonical[])[]

function firstDifference(left: Outcome, right: Outcome): string | null {
  for (let c = 0; c < left.length; c++) {
    const [mine, theirs] = [left[c]!, right[c]!]
    for (let i = 0; i < Math.max(mine.length, theirs.length); i++) {
      const [x, y] = [JSON.stringify(mine[i]), JSON.stringify(theirs[i])]
      if (x !== y) return `connection ${c} hears, at position ${i}\n  first server:  ${x}\n  second server: ${y}`
    }
  }
  return null
}

/** Three connections to one server. */
class Side implements Normalizer {
  lastZxid = 0n
  private readonly port: number
  private clients: RawClient[] = []
  private readonly sessions = new Map<bigint, string>()

  constructor(port: number) {
    this.port = port
  }

  async open(): Promise<void> {
    for (let i = 0; i < CONNECTIONS; i++) this.clients.push(await this.newSession())
  }

  async cut(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.cut()))
  }

  private async newSession(): Promise<RawClient> {
    const client = await RawClient.connect(this.port)
    this.sessions.set(client.sessionId, `session ${this.sessions.size}`)
    return client
  }

  zxid(value: bigint): number {
    return Number(value)
  }

  session(value: bigint): string {
    return this.sessions.get(value) ?? (value === 0n ? 'none' : value === -(2n ** 63n) ? 'container' : 'unknown')
  }

  async run(step: Step): Promise<Outcome> {
    const heard: Canonical[][] = this.clients.map(() => [])
    const parsers = new Map<number, RandomOp>()
    await this.act(step, heard[step.connection]!, parsers)
    await this.barrier()
    for (const [i, client] of this.clients.entries()) {
      for (const received of client.inbox.splice(0)) heard[i]!.push(this.canonical(received, parsers))
      // the ephemeral nodes of a closed session go in no particular order
      if (step.kind === 'renew') heard[i]!.sort((x, y) => (JSON.stringify(x) < JSON.stringify(y) ? -1 : 1))
    }
    return heard
  }

  private async act(step: Step, said: Canonical[], parsers: Map<number, RandomOp>): Promise<void> {
    const client = this.clients[step.connection]!
    switch (step.kind) {
      case 'ops':
        for (const op of step.ops) parsers.set(client.send(op.type, op.body), op)
        return
      case 'auth':
        client.send(100, new Packet().int(0).string(step.scheme).bytes(Buffer.from(step.credentials)), -4)
        if (step.scheme === 'digest' || step.scheme === 'ip') return
        await this.reopenAfterClose(step.connection, said)
        return
      case 'unknownOp':
        client.send(step.type)
        await this.reopenAfterClose(step.connection, said)
        return
      case 'resume':
        await this.resume(step, said)
        return
      case 'renew': {
        const reply = await client.call(-11)
        said.push({ err: reply?.err, zxid: Number(reply?.zxid), left: reply?.body.left })
        await client.waitClosed()
        for (const received of client.inbox.splice(0)) said.push(this.canonical(received, parsers))
        this.clients[step.connection] = await this.newSession()
      }
    }
  }

  private async reopenAfterClose(index: number, said: Canonical[]): Promise<void> {
    const client = this.clients[index]!
    await client.waitClosed()
    for (const received of client.inbox.splice(0)) said.push(this.canonical(received, new Map()))
    this.clients[index] = await RawClient.connect(this.port, client)
  }

  private async resume(step: Extract<Step, { kind: 'resume' }>, said: Canonical[]): Promise<void> {
    const old = this.clients[step.connection]!
    if (step.cut) await old.cut()
    const { sessionId, password } = old
    if (step.wrongPassword) {
      const refused = await RawClient.connect(this.port, { sessionId, password: Buffer.alloc(16, 7), oldClient: step.oldClient })
      said.push({ refused: refused.connectResponse!.toString('hex') })
      await refused.waitClosed()
      await old.waitClosed()
    }
    const timeoutMs = 10_000 + step.connection
    const client = await RawClient.connect(this.port, { sessionId, password, timeoutMs, oldClient: step.oldClient })
    await old.waitClosed()
    said.push({ resumed: client.sessionId === sessionId, timeoutMs: client.timeoutMs, bytes: client.connectResponse!.length })
    this.clients[step.connection] = client
  }

  /** After its pings are answered, everything caused before has arrived: events never come after an answer that follows their cause. */
  private async barrier(): Promise<void> {
    // the others only after the writer: their pings must not overtake its requests
    await this.ping(this.clients)
    await this.ping(this.clients)
  }

  private async ping(clients: readonly RawClient[]): Promise<void> {
    const replies = await Promise.all(clients.map((client) => client.call(11, undefined, -2)))
    for (const reply of replies) if (reply !== null && reply.zxid > this.lastZxid) this.lastZxid = reply.zxid
  }

  private canonical(received: Received, parsers: ReadonlyMap<number, RandomOp>): Canonical {
    if (received.kind === 'event') return { event: received.type, path: received.path }
    const { xid, zxid, err, body } = received
    const op = parsers.get(xid)
    const parsed = op !== undefined && err === 0 ? op.parse(body, this) : null
    return { xid, err, zxid: Number(zxid), parsed, left: body.left }
  }
}
