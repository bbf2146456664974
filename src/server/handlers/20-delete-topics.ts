import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { LATER } from '../request-types.ts'

type Request = RequestOf<'DeleteTopics'>
type Response = ResponseInput<'DeleteTopics'>

function answer(errors: ReadonlyMap<string, number>): Response {
  return { topicErrorCodes: [...errors].map(([topic, errorCode]) => ({ topic, errorCode })) }
}

/** Marks one topic; a mark that is there already is as good. */
async function markForDeletion(broker: BrokerServices, topic: string): Promise<number> {
  const outcome = await broker.zk.createDeleteTopic(topic)
  if (outcome === 'ok' || outcome === 'nodeExists') return ErrorCode.NONE
  broker.log.error(`Error processing delete topic request for topic ${topic}: ${outcome}`)
  return ErrorCode.UNKNOWN_SERVER_ERROR
}

async function handle(
  broker: BrokerServices,
  ctx: RequestContext<'DeleteTopics'>,
  request: Request,
): Promise<HandlerResult<'DeleteTopics'>> {
  if (!broker.controller.isActive) return fail(request, ErrorCode.NOT_CONTROLLER)
  const cache = broker.metadataCache
  const errors = new Map<string, number>()
  for (const topic of new Set(request.topics)) {
    errors.set(topic, cache.hasTopic(topic) ? await markForDeletion(broker, topic) : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  }
  const marked = [...errors].filter(([, code]) => code === ErrorCode.NONE).map(([topic]) => topic)
  if (marked.length === 0) return answer(errors)
  const settle = (isDone: (topic: string) => boolean): Response => {
    for (const topic of marked) if (!isDone(topic)) errors.set(topic, ErrorCode.REQUEST_TIMED_OUT)
    return answer(errors)
  }
  if (request.timeout <= 0) return settle(() => false)
  const isGone = (topic: string): boolean => !cache.hasTopic(topic)
  broker.topicPurgatory.wait(
    request.timeout,
    () => marked.every(isGone),
    () => ctx.respond(settle(isGone)),
  )
  return LATER
}

function fail(request: Request, code: number): Response {
  return answer(new Map(request.topics.map((topic) => [topic, code])))
}

/** DeleteTopics: the controller marks topics for deletion and waits until they are gone. */
export const deleteTopics: HandlerEntry<'DeleteTopics'> = { handle, fail }
