import { LoopSlice } from '../../base/loop-slice.ts'
import { createTopic, createTopicWithAssignment } from '../../controller/topic-admin.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { ApiError } from '../admin-errors.ts'
import { toApiError } from '../admin-errors.ts'
import { REQUEST_SLICE_MS } from '../answer-slices.ts'
import { lastEntries } from '../config-resources.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import type { TopicOutcome } from '../topic-outcomes.ts'
import { topicErrors, whenLed } from '../topic-outcomes.ts'

type Request = RequestOf<'CreateTopics'>
type Wanted = Request['createTopicRequests'][number]
type Response = ResponseInput<'CreateTopics'>

const SUCCESS: ApiError = { code: ErrorCode.NONE, message: null }

function answer(outcomes: readonly TopicOutcome[]): Response {
  return { topicErrors: topicErrors(outcomes) }
}

async function createOne(broker: BrokerServices, wanted: Wanted, validateOnly: boolean): Promise<TopicOutcome> {
  const { topic, numPartitions, replicationFactor, replicaAssignment } = wanted
  const refused = (code: number, message: string | null): TopicOutcome => ({ topic, error: { code, message }, partitions: [] })
  const config = lastEntries(wanted.configEntries)
  // Without a message, as in 1.1.
  if (!config) return refused(ErrorCode.UNKNOWN_SERVER_ERROR, null)
  const hasCounts = numPartitions !== -1 || replicationFactor !== -1
  if (hasCounts && replicaAssignment.length > 0) {
    return refused(
      ErrorCode.INVALID_REQUEST,
      'Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time.',
    )
  }
  try {
    if (replicaAssignment.length > 0) {
      const assignment = new Map(replicaAssignment.map(({ partition, replicas }) => [partition, replicas]))
      await createTopicWithAssignment(broker.zk, { topic, assignment, config, validateOnly })
      return { topic, error: SUCCESS, partitions: [...assignment.keys()] }
    }
    await createTopic(broker.zk, {
      topic,
      partitions: numPartitions,
      replicationFactor,
      config,
      rackAware: 'safe',
      rng: broker.rng,
      validateOnly,
    })
    return { topic, error: SUCCESS, partitions: Array.from({ length: numPartitions }, (_, partition) => partition) }
  } catch (thrown) {
    const error = toApiError(thrown)
    if (!error.isExpected) broker.log.error(`Error processing create topic request for ${topic}`, thrown)
    else broker.log.info(`Topic creation of ${topic} refused: ${(thrown as Error).message}`)
    return { topic, error, partitions: [] }
  }
}

/**
 * At the same time, so that the controller hears of many topics at once, not of each by itself; names that may collide with each other
 * follow one by one. Outcomes in the order of the request.
 */
async function createAll(broker: BrokerServices, wanted: readonly Wanted[], validateOnly: boolean): Promise<TopicOutcome[]> {
  const mayCollide = ({ topic }: Wanted): boolean => /[._]/.test(topic)
  const outcomes = new Map<Wanted, TopicOutcome>()
  const create = async (one: Wanted) => outcomes.set(one, await createOne(broker, one, validateOnly))
  const slice = new LoopSlice(broker.clock, REQUEST_SLICE_MS)
  const creating: Promise<unknown>[] = []
  for (const one of wanted) {
    if (mayCollide(one)) continue
    creating.push(create(one))
    if (slice.isDue) await slice.turn()
  }
  await Promise.all(creating)
  for (const one of wanted.filter(mayCollide)) await create(one)
  return wanted.flatMap((one) => outcomes.get(one) ?? [])
}

function duplicateTopics(request: Request): Set<string> {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const { topic } of request.createTopicRequests) {
    if (seen.has(topic)) twice.add(topic)
    seen.add(topic)
  }
  return twice
}

async function handle(
  broker: BrokerServices,
  ctx: RequestContext<'CreateTopics'>,
  request: Request,
): Promise<HandlerResult<'CreateTopics'>> {
  const { timeout, validateOnly } = request
  if (!broker.controller.isActive) return fail(request, ErrorCode.NOT_CONTROLLER)
  const twice = duplicateTopics(request)
  const message = `Create topics request from client \`${ctx.clientId}\` contains multiple entries for the following topics: ${[...twice].join(',')}`
  const outcomes: TopicOutcome[] = [...twice].map((topic) => ({
    topic,
    error: { code: ErrorCode.INVALID_REQUEST, message },
    partitions: [],
  }))
  outcomes.push(
    ...(await createAll(
      broker,
      request.createTopicRequests.filter(({ topic }) => !twice.has(topic)),
      validateOnly,
    )),
  )
  if (validateOnly || !outcomes.some(({ error }) => error.code === ErrorCode.NONE)) return answer(outcomes)
  whenLed(broker, outcomes, timeout, (settled) => ctx.respond(answer(settled)))
  return LATER
}

function fail(request: Request, code: number): Response {
  const topics = new Set(request.createTopicRequests.map(({ topic }) => topic))
  return answer([...topics].map((topic) => ({ topic, error: { code, message: null }, partitions: [] })))
}

/** CreateTopics: the controller writes the topic's znodes and waits until every partition has a leader. */
export const createTopics: HandlerEntry<'CreateTopics'> = { handle, fail }
