/** The genuine coordinator's recorded steps (golden/wire/coordinator.jsonl), asked of ours. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { golden } from '../../../integration-tests/harness/golden.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { MemoryStateTopic, TestCoordinator } from './testing-groups.ts'

interface Step {
  readonly request: string
  readonly condition: string
  readonly group?: string
  readonly groups?: readonly string[]
  readonly member?: string
  readonly generation?: number
  readonly sessionTimeout?: number
  readonly rebalanceTimeout?: number
  readonly protocolType?: string
  readonly protocols?: readonly string[]
  readonly assignment?: readonly string[]
  readonly offset?: string
  readonly metadataLength?: number
  readonly producerId?: string
  readonly producerEpoch?: number
  readonly partitions?: string
}

const scenarios = readFileSync(golden('wire/coordinator.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as { scenario: string; steps: Step[] })

/** What the recording leaves out of its steps: the client of a new member, and short metadata. */
const clients: Readonly<Record<string, string>> = {
  'second member: waits for the first': 'd',
  'empty: another protocol type': 'e',
}
const metadata: Readonly<Record<string, string>> = {
  'unknown group: makes it': 'a',
  'a second producer': 'b',
  'older offset, pending': 'c',
  'simple consumer commits meanwhile': 'd',
}
/** Markers that the recording sent between two steps. */
const markersBefore: Readonly<Record<string, readonly [producerId: number, isCommit: boolean]>> = {
  'after the abort marker of producer 2': [2, false],
  'the transactional commit was appended first: it is older': [1, true],
}
const words: Readonly<Record<number, string>> = { 1: 'x', 2: 'tx', 4: 'meta' }

/** Fields of a step that say what was asked; the others are what came of it. */
const inputs = new Set(
  'group groups member generation sessionTimeout rebalanceTimeout protocolType protocols assignment offset metadataLength producerId producerEpoch partitions'.split(
    ' ',
  ),
)

/** Asks one step after the other; answers that come later are written into the step that waits for them. */
class Replay {
  readonly topic = new MemoryStateTopic()
  readonly test = new TestCoordinator({}, this.topic)
  readonly coordinator = this.test.coordinator
  /** Deleted groups: in the recording they stay, because its log took no tombstones. */
  readonly deleted = new Set<string>()
  loading = -1
  readonly #names = new Map<string, string>()

  shown(id: string): string {
    if (!/-[0-9a-f]{8}-/.test(id)) return id
    if (!this.#names.has(id)) this.#names.set(id, `m${this.#names.size + 1}`)
    return this.#names.get(id)!
  }

  real(name: string): string {
    return [...this.#names].find(([, shown]) => shown === name)?.[0] ?? name
  }

  run(step: Step): Record<string, unknown> {
    const { request, condition, group = '' } = step
    const result: Record<string, unknown> = {}
    this.topic.appended = []
    const failing = /log answers ([A-Z_]+)$/.exec(condition)?.[1]
    this.topic.error = failing === undefined ? 0 : ErrorCode[failing as keyof typeof ErrorCode]
    const marker = markersBefore[condition]
    if (marker !== undefined) this.#complete(group, ...marker)
    if (request === 'JoinGroup') this.#join(step, result)
    else if (request === 'SyncGroup') this.#sync(step, result)
    else if (request === 'OffsetCommit' || request === 'TxnOffsetCommit') this.#commit(step, result)
    else if (request.startsWith('commit marker')) this.#complete(group, 1, true)
    else this.#ask(step, result)
    this.test.clock.advanceSync(50)
    const isAboutOne = !['DescribeGroups', 'ListGroups', 'DeleteGroups'].includes(request) && !request.startsWith('commit marker')
    if (isAboutOne) result['stateAfter'] = this.coordinator.describe(group).state
    const appended = this.topic.appended.filter((line) => line.endsWith('acks -1'))
    if (appended.length > 0) result['appended'] = appended
    return result
  }

  #complete(group: string, producerId: number, isCommit: boolean): void {
    this.coordinator.completeTransaction(producerId, [this.coordinator.partitionFor(group)], isCommit)
  }

  #join(step: Step, result: Record<string, unknown>): void {
    const protocols = step.protocols!.map((protocol) => {
      const [name, text] = protocol.split('=')
      return { name: name!, metadata: Buffer.from(text ?? '') }
    })
    const request = {
      groupId: step.group!,
      memberId: this.real(step.member!),
      clientId: clients[step.condition] ?? 'c',
      clientHost: '/127.0.0.1',
      rebalanceTimeoutMs: step.rebalanceTimeout!,
      sessionTimeoutMs: step.sessionTimeout!,
      protocolType: step.protocolType!,
      protocols,
    }
    let isLater = false
    this.coordinator.join(request, ({ error, generationId, protocol, leaderId, memberId, members }) => {
      result['answer'] = `${isLater ? 'later ' : ''}error ${error}`
      result['generation'] = generationId
      result['protocol'] = protocol
      result['leader'] = this.shown(leaderId)
      result['memberId'] = this.shown(memberId)
      result['members'] = Object.fromEntries(members.map((member) => [this.shown(member.memberId), member.metadata.toString()]))
    })
    // An empty group's first rebalance takes a tick also without an initial delay.
    this.test.clock.advanceSync(50)
    isLater = true
  }

  #sync(step: Step, result: Record<string, unknown>): void {
    const assignments = new Map(
      step.assignment!.map((given) => {
        const [member, bytes] = given.split('=')
        return [this.real(member!), Buffer.from(bytes!)] as const
      }),
    )
    let isLater = false
    this.coordinator.sync(
      { groupId: step.group!, generationId: step.generation!, memberId: this.real(step.member!), assignments },
      (error, assignment) => {
        result['answer'] = `${isLater ? 'later ' : ''}error ${error}, assignment "${assignment.toString()}"`
      },
    )
    isLater = true
  }

  #commit(step: Step, result: Record<string, unknown>): void {
    const length = step.metadataLength!
    const text = metadata[step.condition] ?? (length > 4 ? 'x'.repeat(length) : (words[length] ?? ''))
    const offset = { topic: 't', partition: 0, offset: Number(step.offset), metadata: text }
    const done = ([error]: readonly number[]): void => {
      result['answer'] = `error ${error}`
    }
    if (step.request === 'TxnOffsetCommit') {
      this.coordinator.commitTransactionalOffsets(step.group!, Number(step.producerId), step.producerEpoch!, [offset], done)
      return
    }
    const now = this.test.clock.wall()
    const offsets = [{ ...offset, commitTimestamp: now, expireTimestamp: now + 86_400_000 }]
    this.coordinator.commitOffsets(
      { groupId: step.group!, generationId: step.generation!, memberId: this.real(step.member!), offsets },
      done,
    )
  }

  #ask(step: Step, result: Record<string, unknown>): void {
    const { group = '', member = '', generation = 0 } = step
    const { coordinator } = this
    if (step.request === 'Heartbeat') result['answer'] = `error ${coordinator.heartbeat(group, this.real(member), generation)}`
    else if (step.request === 'LeaveGroup') result['answer'] = `error ${coordinator.leave(group, this.real(member))}`
    else if (step.request === 'OffsetFetch') this.#fetch(step, result)
    else if (step.request === 'DescribeGroups') this.#describe(group, result)
    else if (step.request === 'ListGroups') {
      const { error, groups } = coordinator.list()
      result['answer'] = `error ${error}`
      result['groups'] = groups.map(({ groupId, protocolType }) => `${groupId} (${protocolType})`).sort()
    } else {
      assert.equal(step.request, 'DeleteGroups')
      const errors = [...coordinator.deleteGroups(step.groups!)].sort(([a], [b]) => (a < b ? -1 : 1))
      for (const [name, error] of errors) if (error === 0) this.deleted.add(name)
      result['answer'] = `{${errors.map(([name, error]) => `${name}=${error}`).join(', ')}}`
    }
  }

  #fetch(step: Step, result: Record<string, unknown>): void {
    const wanted = [0, 9].map((partition) => ({ topic: 't', partition }))
    const { error, offsets } = this.coordinator.fetchOffsets(step.group!, step.partitions === 'all' ? null : wanted)
    result['answer'] = `error ${error}`
    result['partitionsAnswered'] = Object.fromEntries(
      offsets.map(({ topic, partition, offset, metadata: text }) => [
        `${topic}-${partition}`,
        `offset ${offset} metadata "${text}" error 0`,
      ]),
    )
  }

  #describe(group: string, result: Record<string, unknown>): void {
    const { error, state, protocolType, protocol, members } = this.coordinator.describe(group)
    result['answer'] = `error ${error}, state "${state}", type "${protocolType}", protocol "${protocol}"`
    result['members'] = members
      .map((member) => {
        const { clientId, clientHost } = member
        return `${this.shown(member.memberId)} client ${clientId} host ${clientHost} metadata "${member.metadata.toString()}" assignment "${member.assignment.toString()}"`
      })
      .sort()
  }

  /**
   * The recorded groups without those that we do not show: deleted ones, and those of a partition that is being loaded again, which we have
   * forgotten and 1.1 still lists.
   */
  expected(step: Step): Record<string, unknown> {
    const { request: _request, condition: _condition, ...rest } = step as unknown as Record<string, unknown>
    const groups = rest['groups'] as string[] | undefined
    if (step.request !== 'ListGroups' || groups === undefined) return rest
    const isHere = (shown: string): boolean => {
      const name = shown.slice(0, shown.lastIndexOf(' ('))
      return !this.deleted.has(name) && this.coordinator.partitionFor(name) !== this.loading
    }
    return { ...rest, groups: groups.filter(isHere) }
  }
}

it('answers the recorded steps as the genuine coordinator', async () => {
  const replay = new Replay()
  let steps = 0
  for (const { scenario, steps: list } of scenarios) {
    if (scenario === 'not the coordinator') await replay.test.start([0, 1, 2])
    if (scenario === 'loading') {
      replay.loading = replay.coordinator.partitionFor(list[0]!.group!)
      replay.topic.holdLoads = true
      // Another broker led in between.
      replay.coordinator.onElection(replay.loading, 5)
    }
    const results = list.map((step) => {
      steps++
      const result = replay.run(step)
      return { step, expected: replay.expected(step), result }
    })
    for (const { step, expected, result } of results) {
      const isInput = (key: string): boolean => inputs.has(key) && !(key in result)
      const asked = Object.fromEntries(Object.entries(expected).filter(([key]) => isInput(key)))
      assert.deepEqual({ ...asked, ...result }, expected, `${scenario}: ${step.request}, ${step.condition}`)
      const isSilent = step.request.startsWith('commit marker')
      assert.equal('answer' in result, !isSilent, `${scenario}: ${step.request}, ${step.condition} got no answer`)
    }
  }
  assert.equal(steps, 162)
})
