/**
 * Group members as processes, whatever library they are written with: what they own and consume comes as events, they are made to leave
 * (SIGTERM) or to crash (SIGKILL).
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { dirname, extname, join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const SESSION_TIMEOUT_MS = 6000

export type MemberEvent =
  | { readonly type: 'assigned'; readonly partitions: readonly number[] }
  | { readonly type: 'revoked' }
  | { readonly type: 'record'; readonly partition: number; readonly offset: number; readonly value: string }

/** Names that the libraries share; `sticky` is Java's and ours. */
export type SharedAssignor = 'range' | 'roundrobin' | 'sticky'

export interface GroupOfTest {
  readonly bootstrap: string
  readonly topic: string
  readonly groupId: string
  readonly assignor: SharedAssignor
}

const JAVA_ASSIGNORS: Readonly<Record<SharedAssignor, string>> = {
  range: 'RangeAssignor',
  roundrobin: 'RoundRobinAssignor',
  sticky: 'StickyAssignor',
}

/** How a member is started, and what a line of its output says. */
export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly parse: (line: string) => MemberEvent | undefined
}

const numbers = (text: string | undefined): number[] => (text === undefined || text === '' ? [] : text.split(',').map(Number))

function parsePlain(line: string): MemberEvent | undefined {
  const [, word, first, second, value] = /^(\w+) ?(\S*) ?(\S*) ?(.*)$/.exec(line) ?? []
  if (word === 'assigned') return { type: 'assigned', partitions: numbers(first) }
  if (word === 'revoked') return { type: 'revoked' }
  if (word === 'record') return { type: 'record', partition: Number(first), offset: Number(second), value: value ?? '' }
  return undefined
}

export function kafkajsProgram({ bootstrap, topic, groupId, assignor }: GroupOfTest, clientId: string): Program {
  const file = fileURLToPath(import.meta.url)
  const program = join(dirname(file), `group-member-kafkajs${extname(file)}`)
  const loader = process.execArgv.filter(
    (word, i, all) => /^--(import|loader)/.test(word) || /^--(import|loader)$/.test(all[i - 1] ?? ''),
  )
  return {
    command: process.execPath,
    args: [...loader, program, bootstrap, topic, groupId, clientId, `${SESSION_TIMEOUT_MS}`, assignor],
    parse: parsePlain,
  }
}

export function kcatProgram({ bootstrap, topic, groupId, assignor }: GroupOfTest, clientId: string): Program {
  const settings = {
    'client.id': clientId,
    'session.timeout.ms': SESSION_TIMEOUT_MS,
    'max.poll.interval.ms': SESSION_TIMEOUT_MS,
    'heartbeat.interval.ms': 300,
    'auto.commit.interval.ms': 200,
    'auto.offset.reset': 'earliest',
    'partition.assignment.strategy': assignor,
    'reconnect.backoff.max.ms': 500,
    'topic.metadata.refresh.interval.ms': 1000,
  }
  const options = Object.entries(settings).flatMap(([name, value]) => ['-X', `${name}=${value}`])
  return {
    // One pipe for both streams, so that rebalances and records stay in order.
    command: 'sh',
    args: [
      '-c',
      'exec kcat "$@" 2>&1',
      'kcat',
      '-b',
      bootstrap,
      '-u',
      '-f',
      'record %p %o %s\n',
      ...options,
      '-G',
      groupId,
      topic,
    ],
    parse: (line) => {
      const [, what, list] = /^% Group .* rebalanced \(memberid [^)]*\): (assigned|revoked): ?(.*)$/.exec(line) ?? []
      if (what === 'revoked') return { type: 'revoked' }
      if (what === 'assigned')
        return { type: 'assigned', partitions: [...(list ?? '').matchAll(/\[(\d+)\]/g)].map((match) => Number(match[1])) }
      return parsePlain(line)
    },
  }
}

/** The genuine `VerifiableConsumer`, which prints JSON; `launcher` is what runs it, before its own options. */
export function javaProgram(
  { bootstrap, topic, groupId, assignor }: GroupOfTest,
  launcher: readonly string[],
  configFile: string,
): Program {
  const options = ['--broker-list', bootstrap, '--topic', topic, '--group-id', groupId, '--verbose', '--reset-policy', 'earliest']
  const strategy = ['--assignment-strategy', `org.apache.kafka.clients.consumer.${JAVA_ASSIGNORS[assignor]}`]
  const [command = '', ...before] = launcher
  return {
    command,
    args: [...before, ...options, ...strategy, '--session-timeout', `${SESSION_TIMEOUT_MS}`, '--consumer.config', configFile],
    parse: (line) => {
      if (!line.startsWith('{')) return undefined
      const event: { name: string; partitions?: { partition: number }[]; partition?: number; offset?: number; value?: string } =
        JSON.parse(line)
      if (event.name === 'partitions_revoked') return { type: 'revoked' }
      if (event.name === 'partitions_assigned')
        return { type: 'assigned', partitions: (event.partitions ?? []).map(({ partition }) => partition) }
      if (event.name !== 'record_data') return undefined
      return { type: 'record', partition: event.partition ?? -1, offset: event.offset ?? -1, value: event.value ?? '' }
    },
  }
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class GroupMember {
  /** Unique per process: the group's records are told apart by it. */
  readonly clientId: string
  readonly assignments: (readonly number[])[] = []
  consumed = 0
  /** What it owns by its own account. */
  owned: readonly number[] = []
  /** The last lines that were no events. */
  readonly noise: string[] = []
  /** Why its own account is not sound, if it is not. */
  fault: string | undefined
  readonly #child: ChildProcess
  readonly #closed: Promise<void>
  #isEnding = false
  #exit: number | string | null = null

  constructor(clientId: string, { command, args, parse }: Program, onRecord: (value: string) => void) {
    this.clientId = clientId
    const child = spawn(command, [...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    running.add(child)
    const lines = (stream: NodeJS.ReadableStream): Interface =>
      createInterface(stream).on('line', (line) => {
        const event = parse(line)
        if (event !== undefined) this.#take(event, onRecord)
        else if (this.noise.push(line) > 20) this.noise.shift()
      })
    const streams = [lines(child.stdout!), lines(child.stderr!)]
    const exited = new Promise<void>((done) => {
      child.once('error', (error) => this.noise.push(String(error)))
      child.once('close', (code, signal) => {
        running.delete(child)
        this.#exit = code ?? signal
        if (!this.#isEnding) this.fault ??= `${clientId} ended by itself with ${code ?? signal}: ${this.noise.join('\n')}`
        done()
      })
    })
    this.#closed = Promise.all([exited, ...streams.map((stream) => new Promise((done) => stream.once('close', done)))]).then(
      () => {},
    )
  }

  #take(event: MemberEvent, onRecord: (value: string) => void): void {
    if (event.type === 'assigned') {
      this.owned = event.partitions
      this.assignments.push(event.partitions)
    } else if (event.type === 'revoked') this.owned = []
    else {
      this.consumed++
      if (!this.owned.includes(event.partition))
        this.fault ??= `${this.clientId} consumed ${event.partition}@${event.offset} and owned [${this.owned}]`
      onRecord(event.value)
    }
  }

  get isRunning(): boolean {
    return running.has(this.#child)
  }

  /** It tells its group, and ends. */
  async leave(): Promise<void> {
    this.#isEnding = true
    this.#child.kill('SIGTERM')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 30_000)
    await this.#closed
    clearTimeout(timer)
    assert.notEqual(this.#exit, 'SIGKILL', `${this.clientId} did not end within 30 s of SIGTERM: ${this.noise.join('\n')}`)
  }

  /** It is gone without a word. */
  async crash(): Promise<void> {
    this.#isEnding = true
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}
