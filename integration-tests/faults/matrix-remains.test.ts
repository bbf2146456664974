/** Canaries of the verdict: a cell in which nothing went wrong is clean, and of each rule that is broken in it its checker tells, and no other. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { BatchBuilder, endTransactionMarker } from '../../src/protocol/records/index.ts'
import { GroupHistory } from '../../src/sim/group-history.ts'
import { History } from '../../src/sim/history.ts'
import { encodePartitionState } from '../../zk/znodes/partition-state.ts'
import { RealWorld } from '../harness/history-world.ts'
import { type Delivered, judgeRemains } from './matrix-remains.ts'
import { closeSession, create, fenced, remove, setData, type Write, writeZooKeeperLog } from './zookeeper-log-bytes.ts'

const PLAIN = { topic: 'events', partition: 0, producer: 'plain-0', kind: 'all' } as const
const COPIER = { topic: 'copied', partition: 0, producer: 'copy', kind: 'transactional' } as const
const COPIER_ID = { producerId: 7, producerEpoch: 0 }
const BROKERS = [0, 1, 2]
const STATE = '/brokers/topics/events/partitions/0/state'

function state(controllerEpoch: number, leaderEpoch: number, leader: number, isr: readonly number[] = BROKERS): Buffer {
  return encodePartitionState({ controllerEpoch, leaderEpoch, leader, isr })
}

/** Session 1 is that of the first controller, which loses it; 2 becomes the next one. */
const WRITES: readonly Write[] = [
  ...BROKERS.map((id) => create(id + 1, `/brokers/ids/${id}`, '{}', true)),
  create(1, '/controller_epoch', '1'),
  fenced(create(1, STATE, state(1, 0, 0))),
  setData(1, STATE, state(1, 0, 0, [0, 1])),
  closeSession(1),
  setData(2, '/controller_epoch', '2'),
  fenced(setData(2, STATE, state(2, 1, 1, [1]))),
  fenced(create(4, '/brokers/ids/0', '{}', true)),
  setData(2, STATE, state(2, 1, 1)),
  // Broker 1 unregisters, comes back with another session, and then the old one ends.
  remove(2, '/brokers/ids/1'),
  create(5, '/brokers/ids/1', '{}', true),
  closeSession(2),
]

/** Five records, their copy in one transaction that was committed, and one that was aborted. */
class Cell {
  readonly world = new RealWorld('canary', [])
  readonly history = new History(this.world)
  events = ['plain-0:0', 'plain-0:1', 'plain-0:2', 'plain-0:3', 'plain-0:4']
  /** Offsets in the order in which they are copied. */
  copied = [0, 1, 2, 3, 4]
  isCommitted = true
  upTo = 5
  hasEnded = false
  log = '[2017-11-01 10:00:00,000] INFO [KafkaServer id=0] started (kafka.server.KafkaServer)\n'
  writes = [...WRITES]
  /** What consumers get of `events` is changed by it. */
  delivers = (records: Delivered): Delivered => records
  /** What lies on one broker. */
  lies = (_broker: number, bytes: Buffer): Buffer => bytes

  constructor() {
    for (const [number, value] of this.events.entries()) {
      this.history.send(value, { ...PLAIN, number })
      this.history.ack(value, number)
    }
  }

  judge(): string[] {
    const directory = mkdtempSync(join(tmpdir(), 'samsa-remains-'))
    try {
      writeZooKeeperLog(directory, this.writes)
      this.#judge(directory)
    } finally {
      rmSync(directory, { recursive: true })
    }
    return [...new Set(this.world.violations.map(({ check }) => check))]
  }

  #judge(directory: string): void {
    const { events, upTo, hasEnded, log } = this
    const plain = batch(events, {})
    const copies = this.#copies()
    const there: Delivered = events.map((value, offset) => [offset, value])
    const replicas = { partition: 0, leader: 0, isr: BROKERS }
    judgeRemains(this.world, this.history, {
      partitions: new Map([
        ['events-0', { ...replicas, topic: 'events' }],
        ['copied-0', { ...replicas, topic: 'copied' }],
      ]),
      bytes: (broker, topic) => (topic === 'events' ? this.lies(broker, plain) : copies.bytes),
      all: new Map([
        ['events-0', this.delivers(there)],
        ['copied-0', copies.all],
      ]),
      committed: new Map([
        ['events-0', there],
        ['copied-0', copies.committed],
      ]),
      copy: { from: 'events', to: 'copied', upTo: [upTo] },
      brokers: BROKERS.map((id) => ({ id, hasEnded, log })),
      zooKeeperDirectories: [directory],
    })
  }

  #copies(): { readonly bytes: Buffer; readonly all: Delivered; readonly committed: Delivered } {
    const values = this.copied.map((offset, number) => `copy:${number} ${offset} ${this.events[offset]}`)
    const aborted = [`copy:${values.length} 0 ${this.events[0]}`]
    this.#transaction(values, 0, 'committed')
    this.#transaction(aborted, values.length, 'aborted')
    const at = values.length + 1
    const bytes = Buffer.concat([
      batch(values, { ...COPIER_ID, baseSequence: 0, transactional: true }),
      marker(this.isCommitted, values.length),
      batch(aborted, { ...COPIER_ID, baseSequence: values.length, transactional: true, baseOffset: at }),
      marker(false, at + 1),
    ])
    const committed: Delivered = values.map((value, offset) => [offset, value])
    return { bytes, all: [...committed, [at, aborted[0]!]], committed }
  }

  #transaction(values: readonly string[], first: number, outcome: 'committed' | 'aborted'): void {
    const transaction = this.history.begin('copy')
    transaction.outcome = outcome
    for (const [i, value] of values.entries()) {
      this.history.send(value, { ...COPIER, transaction: transaction.id, number: first + i })
      transaction.values.push(value)
    }
  }
}

function batch(values: readonly string[], options: ConstructorParameters<typeof BatchBuilder>[0]): Buffer {
  const builder = new BatchBuilder(options)
  for (const value of values) builder.append(1_500_000_000_000, null, Buffer.from(value))
  return builder.build()
}

function marker(commit: boolean, offset: number): Buffer {
  return endTransactionMarker({ ...COPIER_ID, commit, offset, coordinatorEpoch: 0, timestamp: 1_500_000_000_000 })
}

interface Canary {
  readonly check: string
  readonly what: string
  breaks(cell: Cell): void
}

const CANARIES: readonly Canary[] = [
  {
    check: 'fenced-controller',
    what: 'the controller of epoch 1 elects a leader when there is one of epoch 2',
    breaks: (cell) => cell.writes.splice(8, 1, setData(1, STATE, state(1, 1, 1, [1]))),
  },
  {
    check: 'fenced-controller',
    what: 'the same in a multi',
    breaks: (cell) => cell.writes.splice(8, 1, fenced(setData(1, STATE, state(1, 1, 1, [1])))),
  },
  {
    check: 'controller-epoch',
    what: 'the epoch is raised by two',
    breaks: (cell) => cell.writes.push(setData(2, '/controller_epoch', '4')),
  },
  {
    check: 'controller-epoch',
    what: 'the epoch is written again',
    breaks: (cell) => cell.writes.push(setData(2, '/controller_epoch', '2')),
  },
  {
    check: 'partition-state',
    what: 'a leader from outside of the in-sync set',
    breaks: (cell) => cell.writes.splice(8, 1, fenced(setData(2, STATE, state(2, 1, 2, [2])))),
  },
  {
    check: 'partition-state',
    what: 'a second leader of one epoch',
    breaks: (cell) => cell.writes.push(setData(2, STATE, state(2, 1, 0))),
  },
  {
    check: 'zookeeper-log',
    what: 'a broker is not registered in the end',
    breaks: (cell) => cell.writes.push(closeSession(4)),
  },
  {
    check: 'zookeeper-log',
    what: 'there never was a controller',
    breaks: (cell) => cell.writes.splice(BROKERS.length),
  },
  {
    check: 'zookeeper-log',
    what: 'nothing can be read of it',
    breaks: (cell) => cell.writes.splice(0),
  },
  {
    check: 'delivered',
    what: 'a record is left out',
    breaks: (cell) => {
      cell.delivers = (records) => records.filter(([offset]) => offset !== 2)
    },
  },
  {
    check: 'delivered',
    what: 'a record comes twice',
    breaks: (cell) => {
      cell.delivers = (records) => [...records, ...records.slice(-1)]
    },
  },
  {
    check: 'exactly-once',
    what: 'a record is copied twice',
    breaks: (cell) => {
      cell.copied = [0, 1, 2, 2, 3, 4]
    },
  },
  {
    check: 'exactly-once',
    what: 'the last record is copied twice',
    breaks: (cell) => {
      cell.copied = [0, 1, 2, 3, 4, 4]
    },
  },
  {
    check: 'exactly-once',
    what: 'a record is left out',
    breaks: (cell) => {
      cell.copied = [0, 1, 3, 4]
    },
  },
  {
    check: 'exactly-once',
    what: 'the last record is left out',
    breaks: (cell) => {
      cell.copied = [0, 1, 2, 3]
    },
  },
  {
    check: 'exactly-once',
    what: 'two records are exchanged',
    breaks: (cell) => {
      cell.copied = [0, 2, 1, 3, 4]
    },
  },
  {
    check: 'exactly-once',
    what: 'more is copied than is committed',
    breaks: (cell) => {
      cell.upTo = 4
    },
  },
  {
    check: 'no-bug',
    what: 'a broker has ended',
    breaks: (cell) => {
      cell.hasEnded = true
    },
  },
  ...[
    'AssertionError [ERR_ASSERTION]: the log ends at 7',
    'Error: assertion failed: the log ends at 7',
    '[2017-11-01 10:00:00,000] ERROR Unhandled rejection (kafka.server.KafkaServer)',
    'Uncaught exception in timer',
    "TypeError: Cannot read properties of undefined (reading 'leader')",
    'ReferenceError: leader is not defined',
    'RangeError: Invalid array length',
  ].map((line) => ({
    check: 'no-bug',
    what: `a log says ${line.slice(0, 50)}`,
    breaks: (cell: Cell) => {
      cell.log += `${line}\n`
    },
  })),
  {
    check: 'acked-survives',
    what: 'an acknowledged record is not there',
    breaks: ({ history }) => {
      history.send('plain-0:5', { ...PLAIN, number: 5 })
      history.ack('plain-0:5', 5)
    },
  },
  {
    check: 'read-stays',
    what: 'a record that was read is not there',
    breaks: ({ history }) => history.reads('events-0', 5, 'plain-0:5', true),
  },
  {
    check: 'replicas-equal',
    what: 'a replica ends earlier',
    breaks: (cell) => {
      cell.lies = (broker, bytes) => (broker === 2 ? bytes.subarray(0, 0) : bytes)
    },
  },
  {
    check: 'no-phantoms',
    what: 'there is what nobody sent',
    breaks: (cell) => cell.events.push('plain-0:5'),
  },
  {
    check: 'transactions',
    what: 'told to be committed, and aborted',
    breaks: (cell) => {
      cell.isCommitted = false
    },
  },
]

describe('verdict of a cell', () => {
  it('nothing went wrong: clean', () => assert.deepEqual(new Cell().judge(), []))

  for (const { check, what, breaks } of CANARIES) {
    it(`${check}: ${what}`, () => {
      const cell = new Cell()
      breaks(cell)
      // An aborted record that was read as committed is two faults.
      assert.deepEqual(cell.judge(), check === 'transactions' ? [check, 'read-committed'] : [check])
    })
  }
})

describe('what members of groups are told', () => {
  const told = (tell: (groups: GroupHistory) => void): string[] => {
    const world = new RealWorld('canary', [])
    tell(new GroupHistory(world))
    return world.violations.map(({ check }) => check)
  }
  const joins = (groups: GroupHistory): void => {
    groups.owns('group', 3, 'a', 'a', [0])
    groups.owns('group', 3, 'a', 'b', [1])
  }

  it('a partition each, and the other one in the next generation: clean', () => {
    const seen = told((groups) => {
      joins(groups)
      groups.owns('group', 4, 'b', 'b', [0])
      groups.owns('group', 4, 'b', 'a', [1])
      // Another coordinator that knows nothing of the group counts anew.
      groups.owns('group', 1, 'c', 'c', [0, 1])
    })
    assert.deepEqual(seen, [])
  })

  it('one-owner: a partition for two members of one generation', () => {
    const seen = told((groups) => {
      joins(groups)
      groups.owns('group', 3, 'a', 'c', [1])
    })
    assert.deepEqual(seen, ['one-owner'])
  })

  it('generation-rises: a member is led back', () => {
    const seen = told((groups) => {
      joins(groups)
      groups.owns('group', 2, 'a', 'a', [0])
    })
    assert.deepEqual(seen, ['generation-rises'])
  })

  it('offsets-stay: less is fetched than was committed', () => {
    const seen = told((groups) => {
      groups.committed('group', 'events-0', '3/a', 7)
      const floor = groups.floor('group', 'events-0')
      groups.fetched('group', 'events-0', 7, floor)
      groups.fetched('group', 'events-0', 6, floor)
    })
    assert.deepEqual(seen, ['offsets-stay'])
  })
})
