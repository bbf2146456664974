/** The file that says where partitions go. */
import type { TopicAssignment } from '../../../zk/znodes/types.ts'
import { duplicates, partitionName, readTextFile, ToolError } from '../tool.ts'
import { fieldsOf, integersField, partitionEntries, textsField } from '../tool-json.ts'

const ANY_LOG_DIR = 'any'

export interface Move {
  readonly topic: string
  readonly partition: number
  readonly replicas: readonly number[]
}

/** A replica that is to lie in a log directory of its broker. */
export interface ReplicaMove {
  readonly topic: string
  readonly partition: number
  readonly broker: number
  readonly logDir: string
}

export interface Plan {
  readonly moves: readonly Move[]
  readonly replicaMoves: readonly ReplicaMove[]
}

export function failed(message: string): ToolError {
  return new ToolError('kafka.common.AdminCommandFailedException', message)
}

/** `topic-partition-broker` */
export function replicaName({ topic, partition, broker }: Omit<ReplicaMove, 'logDir'>): string {
  return `${topic}-${partition}-${broker}`
}

/** Throws `ToolError`. Text that is no JSON is an empty plan. */
export function readPlan(path: string): Plan {
  const root = fieldsOf(readTextFile(path)) ?? {}
  const moves: Move[] = []
  const replicaMoves: ReplicaMove[] = []
  for (const { topic, partition, fields } of partitionEntries(root)) {
    const replicas = integersField(fields, 'replicas')
    const logDirs = fields['log_dirs'] === undefined ? replicas.map(() => ANY_LOG_DIR) : textsField(fields, 'log_dirs')
    if (replicas.length !== logDirs.length) {
      throw failed(
        `Size of replicas list Vector(${replicas.join(', ')}) is different from size of log dirs list Vector(${logDirs.join(', ')}) for partition ${topic}-${partition}`,
      )
    }
    moves.push({ topic, partition, replicas })
    for (const [i, broker] of replicas.entries()) {
      const logDir = logDirs[i] ?? ANY_LOG_DIR
      if (logDir !== ANY_LOG_DIR) replicaMoves.push({ topic, partition, broker, logDir })
    }
  }
  return { moves, replicaMoves }
}

/** What can be wrong with a plan by itself. Throws `ToolError`. */
export function checkPlan({ moves }: Plan): void {
  if (moves.length === 0) throw failed('Partition reassignment data file is empty')
  if (moves.some(({ replicas }) => replicas.length === 0)) throw failed('Partition replica list cannot be empty')
  const repeated = duplicates(moves.map(partitionName))
  if (repeated.length > 0) {
    throw failed(`Partition reassignment contains duplicate topic partitions: ${repeated.join(',')}`)
  }
  const doubled = moves
    .map((move) => ({ name: partitionName(move), brokers: duplicates(move.replicas) }))
    .filter(({ brokers }) => brokers.length > 0)
    .map(({ name, brokers }) => `${name} contains multiple entries for ${brokers.join(',')}`)
  if (doubled.length > 0) throw failed(`Partition replica lists may not contain duplicate entries: ${doubled.join('. ')}`)
}

/** An assignment as such a file; every replica in any log directory. */
export function planText(assignments: ReadonlyMap<string, TopicAssignment>): string {
  const partitions = [...assignments].flatMap(([topic, assignment]) =>
    [...assignment].map(([partition, replicas]) => ({
      topic,
      partition,
      replicas,
      log_dirs: replicas.map(() => ANY_LOG_DIR),
    })),
  )
  return JSON.stringify({ version: 1, partitions })
}
