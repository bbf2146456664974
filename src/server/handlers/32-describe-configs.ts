import { validateTopicName } from '../../controller/topic-admin.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { ApiError } from '../admin-errors.ts'
import { toApiError } from '../admin-errors.ts'
import type { DescribedConfig } from '../config-descriptions.ts'
import { describeBroker, describeClusterDefaults, describeTopic } from '../config-descriptions.ts'
import {
  knownResourceType,
  parseBrokerId,
  ResourceType,
  resourceTypeName,
  showResource,
  uniqueResources,
} from '../config-resources.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'

type Request = RequestOf<'DescribeConfigs'>
type Resource = Request['resources'][number]
type Response = ResponseInput<'DescribeConfigs'>

async function describe(
  broker: BrokerServices,
  resource: Resource,
  withSynonyms: boolean,
): Promise<DescribedConfig[] | ApiError> {
  const { resourceType, resourceName } = resource
  const { dynamicConfig, zk, brokerId } = broker
  if (resourceType === ResourceType.TOPIC) {
    validateTopicName(resourceName)
    const overrides = (await zk.getConfigs('topics', [resourceName])).get(resourceName) ?? {}
    return describeTopic(dynamicConfig, overrides, withSynonyms)
  }
  if (resourceName === '') return describeClusterDefaults(dynamicConfig, withSynonyms)
  const id = parseBrokerId(resourceName)
  if (id === brokerId) return describeBroker(dynamicConfig, withSynonyms)
  const message =
    id === undefined
      ? `Broker id must be an integer, but it is: ${resourceName}`
      : `Unexpected broker id, expected ${brokerId} or empty string, but received ${showResource(resource)}.name`
  return { code: ErrorCode.INVALID_REQUEST, message }
}

function entry({ resourceType, resourceName }: Resource, error: ApiError, configEntries: readonly DescribedConfig[]) {
  const { code: errorCode, message: errorMessage } = error
  return { errorCode, errorMessage, resourceType: knownResourceType(resourceType), resourceName, configEntries }
}

async function describeOne(broker: BrokerServices, resource: Resource, withSynonyms: boolean): Promise<ReturnType<typeof entry>> {
  try {
    const found = await describe(broker, resource, withSynonyms)
    if (!Array.isArray(found)) return entry(resource, found as ApiError, [])
    const wanted = resource.configNames === null ? undefined : new Set(resource.configNames)
    const entries = wanted ? found.filter(({ configName }) => wanted.has(configName)) : found
    return entry(resource, { code: ErrorCode.NONE, message: null }, entries)
  } catch (thrown) {
    const error = toApiError(thrown)
    const message = `Error processing describe configs request for resource ${showResource(resource)}`
    if (error.isExpected) broker.log.info(`${message}: ${(thrown as Error).message}`)
    else broker.log.error(message, thrown)
    return entry(resource, error, [])
  }
}

async function handle(
  broker: BrokerServices,
  _ctx: RequestContext<'DescribeConfigs'>,
  request: Request,
): Promise<HandlerResult<'DescribeConfigs'>> {
  const resources = uniqueResources(request.resources)
  const wrong = resources.find(({ resourceType }) => resourceType !== ResourceType.TOPIC && resourceType !== ResourceType.BROKER)
  if (wrong) {
    const message = `Unexpected resource type ${resourceTypeName(wrong.resourceType)} for resource ${wrong.resourceName}`
    return failWith(request, { code: ErrorCode.INVALID_REQUEST, message })
  }
  return {
    throttleTimeMs: 0,
    resources: await Promise.all(resources.map((resource) => describeOne(broker, resource, request.includeSynonyms))),
  }
}

function failWith(request: Request, error: ApiError): Response {
  return { throttleTimeMs: 0, resources: uniqueResources(request.resources).map((resource) => entry(resource, error, [])) }
}

/** DescribeConfigs: settings of topics and of this broker, with their sources (KIP-133, KIP-226). */
export const describeConfigs: HandlerEntry<'DescribeConfigs'> = {
  handle,
  fail: (request, code) => failWith(request, { code, message: null }),
}
