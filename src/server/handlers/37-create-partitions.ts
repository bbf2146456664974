import type { TopicAssignment } from '../../../zk/znodes/types.ts'
import { addPartitions } from '../../controller/topic-admin.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { ApiError } from '../admin-errors.ts'
import { toApiError } from '../admin-errors.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import type { TopicOutcome } from '../topic-outcomes.ts'
import { topicErrors, whenLed } from '../topic-outcomes.ts'

type Request = RequestOf<'CreatePartitions'>
type Wanted = Request['topicPartitions'][number]
type Response = ResponseInput<'CreatePartitions'>

const SUCCESS: ApiError = { code: ErrorCode.NONE, message: null }

/** ZooKeeper's refusal of the path that an empty topic name makes; in 1.1 it fails the whole request. */
const EMPTY_NAME: ApiError = { code: ErrorCode.UNKNOWN_SERVER_ERROR, message: 'Path must not end with / character' }

function answer(outcomes: readonly TopicOutcome[]): Response {
  return { throttleTimeMs: 0, topicErrors: topicErrors(outcomes) }
}

function refused(topic: string, code: number, message: string | null): TopicOutcome {
  return { topic, error: { code, message }, partitions: [] }
}

/** 1.1's checks of count and assignment, before those that all ways of adding partitions share. */
function countProblem({ newPartitions }: Wanted, existing: number, brokers: ReadonlySet<number>): ApiError | undefined {
  const { count, assignment } = newPartitions
  const invalid = (message: string): ApiError => ({ code: ErrorCode.INVALID_PARTITIONS, message })
  if (count < existing) return invalid(`Topic currently has ${existing} partitions, which is higher than the requested ${count}.`)
  if (count === existing) return invalid(`Topic already has ${existing} partitions.`)
  if (assignment === null) return undefined
  const unknown = new Set(assignment.flat().filter((id) => !brokers.has(id)))
  if (unknown.size > 0) {
    const message = `Unknown broker(s) in replica assignment: ${[...unknown].join(', ')}.`
    return { code: ErrorCode.INVALID_REPLICA_ASSIGNMENT, message }
  }
  if (assignment.length === count - existing) return undefined
  return {
    code: ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    message: `Increasing the number of partitions by ${count - existing} but ${assignment.length} assignments provided.`,
  }
}

async function addTo(
  broker: BrokerServices,
  wanted: Wanted,
  validateOnly: boolean,
  brokers: ReadonlySet<number>,
): Promise<TopicOutcome> {
  const { topic, newPartitions } = wanted
  const { count, assignment } = newPartitions
  const existing = (await broker.zk.getAssignments([topic])).get(topic)
  if (!existing || existing.size === 0) {
    return refused(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, `The topic '${topic}' does not exist.`)
  }
  const problem = countProblem(wanted, existing.size, brokers)
  if (problem) return { topic, error: problem, partitions: [] }
  const added: TopicAssignment | undefined =
    assignment === null ? undefined : new Map(assignment.map((replicas, index) => [existing.size + index, replicas]))
  try {
    const whole = await addPartitions(broker.zk, {
      topic,
      partitions: count,
      rackAware: 'enforced',
      rng: broker.rng,
      validateOnly,
      ...(added && { assignment: added }),
    })
    // Old partitions, too, must be led.
    return { topic, error: SUCCESS, partitions: [...whole.keys()] }
  } catch (thrown) {
    const error = toApiError(thrown)
    if (!error.isExpected) broker.log.error(`Error processing create partitions request for ${topic}`, thrown)
    return { topic, error, partitions: [] }
  }
}

/** Topics that are asked for once and not about to be deleted are tried; the others are refused. */
async function addAll(broker: BrokerServices, { topicPartitions, validateOnly }: Request): Promise<TopicOutcome[] | ApiError> {
  const counts = new Map<string, number>()
  for (const { topic } of topicPartitions) counts.set(topic, (counts.get(topic) ?? 0) + 1)
  const deletions = new Set(await broker.zk.getTopicDeletions())
  const isReassigning = ((await broker.zk.getReassignments())?.size ?? 0) > 0
  const brokers = new Set((await broker.zk.getAllBrokers()).map(({ brokerId }) => brokerId))
  const outcomes: TopicOutcome[] = []
  for (const wanted of topicPartitions) {
    const { topic } = wanted
    if (counts.get(topic) === 0) continue
    if (counts.get(topic)! > 1) {
      counts.set(topic, 0)
      outcomes.push(refused(topic, ErrorCode.INVALID_REQUEST, 'Duplicate topic in request.'))
    } else if (deletions.has(topic)) {
      outcomes.push(refused(topic, ErrorCode.INVALID_TOPIC_EXCEPTION, 'The topic is queued for deletion.'))
    } else if (isReassigning) {
      outcomes.push(refused(topic, ErrorCode.REASSIGNMENT_IN_PROGRESS, 'A partition reassignment is in progress.'))
    } else if (topic === '') {
      return EMPTY_NAME
    } else {
      outcomes.push(await addTo(broker, wanted, validateOnly, brokers))
    }
  }
  return outcomes
}

async function handle(
  broker: BrokerServices,
  ctx: RequestContext<'CreatePartitions'>,
  request: Request,
): Promise<HandlerResult<'CreatePartitions'>> {
  const { timeout, validateOnly } = request
  if (!broker.controller.isActive) return failWith(request, { code: ErrorCode.NOT_CONTROLLER, message: null })
  const outcomes = await addAll(broker, request)
  if (!Array.isArray(outcomes)) return failWith(request, outcomes as ApiError)
  if (validateOnly || !outcomes.some(({ error }) => error.code === ErrorCode.NONE)) return answer(outcomes)
  whenLed(broker, outcomes, timeout, (settled) => ctx.respond(answer(settled)))
  return LATER
}

function failWith(request: Request, error: ApiError): Response {
  const topics = new Set(request.topicPartitions.map(({ topic }) => topic))
  return answer([...topics].map((topic) => ({ topic, error, partitions: [] })))
}

/** CreatePartitions: the controller adds partitions to topics and waits until all have leaders (KIP-195). */
export const createPartitions: HandlerEntry<'CreatePartitions'> = {
  handle,
  fail: (request, code) => failWith(request, { code, message: null }),
}
