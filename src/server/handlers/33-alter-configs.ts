import type { ConfigEntityType, ConfigProperties } from '../../../zk/znodes/types.ts'
import { ConfigException, IllegalConfigError } from '../../base/config-def.ts'
import { validateTopicName } from '../../controller/topic-admin.ts'
import { TopicAdminError } from '../../controller/topic-errors.ts'
import { validateTopicConfig } from '../../log/log-config.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { ApiError } from '../admin-errors.ts'
import { toApiError } from '../admin-errors.ts'
import { DEFAULT_BROKERS_ENTITY } from '../config/dynamic-broker-config.ts'
import {
  knownResourceType,
  lastEntries,
  parseBrokerId,
  ResourceType,
  resourceTypeName,
  showResource,
  uniqueResources,
} from '../config-resources.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'

type Request = RequestOf<'AlterConfigs'>
type Resource = Request['resources'][number]
type Response = ResponseInput<'AlterConfigs'>

const SUCCESS: ApiError = { code: ErrorCode.NONE, message: null }
/** 1.1 falls over a null value. */
const NULL_VALUE: ApiError = { code: ErrorCode.UNKNOWN_SERVER_ERROR, message: null }

/** Replaces all settings of the entity and tells every broker. */
async function write(
  broker: BrokerServices,
  type: ConfigEntityType,
  entity: string,
  properties: ConfigProperties,
): Promise<void> {
  await broker.zk.setConfig(type, entity, properties)
  await broker.zk.createConfigChangeNotification(`${type}/${entity}`)
}

async function alterTopic(broker: BrokerServices, resource: Resource, validateOnly: boolean): Promise<ApiError> {
  const topic = resource.resourceName
  const properties = lastEntries(resource.configEntries)
  if (!properties) return NULL_VALUE
  validateTopicName(topic)
  if (!(await broker.zk.topicExists(topic))) {
    throw new TopicAdminError('AdminOperationException', `Topic "${topic}" does not exist.`)
  }
  validateTopicConfig(properties)
  if (!validateOnly) await write(broker, 'topics', topic, properties)
  return SUCCESS
}

async function alterBroker(broker: BrokerServices, resource: Resource, validateOnly: boolean): Promise<ApiError> {
  const { resourceName } = resource
  const refused = (message: string): ApiError => ({ code: ErrorCode.INVALID_REQUEST, message })
  const perBroker = resourceName !== ''
  if (perBroker) {
    const id = parseBrokerId(resourceName)
    if (id === undefined) return refused(`Broker id must be an integer, but it is: ${resourceName}`)
    if (id !== broker.brokerId) {
      return refused(`Unexpected broker id, expected ${broker.brokerId}, but received ${showResource(resource)}.name`)
    }
  }
  const properties = lastEntries(resource.configEntries)
  if (!properties) return NULL_VALUE
  broker.dynamicConfig.validate(properties, perBroker)
  if (validateOnly) return SUCCESS
  const persistent = broker.dynamicConfig.toPersistent(properties, (length) => broker.rng.bytes(length))
  await write(broker, 'brokers', perBroker ? String(broker.brokerId) : DEFAULT_BROKERS_ENTITY, persistent)
  return SUCCESS
}

async function alterOne(broker: BrokerServices, resource: Resource, validateOnly: boolean): Promise<ApiError> {
  try {
    return await (resource.resourceType === ResourceType.TOPIC ? alterTopic : alterBroker)(broker, resource, validateOnly)
  } catch (thrown) {
    if (thrown instanceof ConfigException || thrown instanceof IllegalConfigError) {
      const message = `Invalid config value for resource ${showResource(resource)}: ${thrown.message}`
      broker.log.info(message)
      return { code: ErrorCode.INVALID_REQUEST, message }
    }
    const error = toApiError(thrown)
    const message = `Error processing alter configs request for resource ${showResource(resource)}`
    if (error.isExpected) broker.log.info(`${message}: ${(thrown as Error).message}`)
    else broker.log.error(message, thrown)
    return error
  }
}

function entry({ resourceType, resourceName }: Resource, { code, message }: ApiError): Response['resources'][number] {
  return { errorCode: code, errorMessage: message, resourceType: knownResourceType(resourceType), resourceName }
}

async function handle(
  broker: BrokerServices,
  _ctx: RequestContext<'AlterConfigs'>,
  request: Request,
): Promise<HandlerResult<'AlterConfigs'>> {
  const resources = uniqueResources(request.resources)
  const wrong = resources.find(({ resourceType }) => resourceType !== ResourceType.TOPIC && resourceType !== ResourceType.BROKER)
  if (wrong) {
    const message = `Unexpected resource type ${resourceTypeName(wrong.resourceType)}`
    return failWith(request, { code: ErrorCode.INVALID_REQUEST, message })
  }
  const answers: Response['resources'][number][] = []
  for (const resource of resources) answers.push(entry(resource, await alterOne(broker, resource, request.validateOnly)))
  return { throttleTimeMs: 0, resources: answers }
}

function failWith(request: Request, error: ApiError): Response {
  return { throttleTimeMs: 0, resources: uniqueResources(request.resources).map((resource) => entry(resource, error)) }
}

/** AlterConfigs: replaces the settings of topics and brokers in ZooKeeper; every broker follows (KIP-133, KIP-226). */
export const alterConfigs: HandlerEntry<'AlterConfigs'> = {
  handle,
  fail: (request, code) => failWith(request, { code, message: null }),
}
