import type { EpochMillis, Millis } from '../../base/ids.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { exceptionOf } from '../errors.ts'
import { type AdminContext, type Entry, errorOf, resultsOf, throwRetriable } from './context.ts'
import type {
  AclBinding,
  AclBindingFilter,
  AclOperation,
  AclPermissionType,
  AdminCallOptions,
  DelegationToken,
  Principal,
  ResourceType,
  Results,
} from './types.ts'

/** Their numbers on the wire. */
const RESOURCE_TYPES: readonly ResourceType[] = [
  'UNKNOWN',
  'ANY',
  'TOPIC',
  'GROUP',
  'CLUSTER',
  'TRANSACTIONAL_ID',
  'DELEGATION_TOKEN',
]
const OPERATIONS: readonly AclOperation[] = [
  'UNKNOWN',
  'ANY',
  'ALL',
  'READ',
  'WRITE',
  'CREATE',
  'DELETE',
  'ALTER',
  'DESCRIBE',
  'CLUSTER_ACTION',
  'DESCRIBE_CONFIGS',
  'ALTER_CONFIGS',
  'IDEMPOTENT_WRITE',
]
const PERMISSIONS: readonly AclPermissionType[] = ['UNKNOWN', 'ANY', 'DENY', 'ALLOW']

function numbers({ resourceType, operation, permissionType }: Pick<AclBinding, 'resourceType' | 'operation' | 'permissionType'>) {
  return {
    resourceType: RESOURCE_TYPES.indexOf(resourceType),
    operation: OPERATIONS.indexOf(operation),
    permissionType: PERMISSIONS.indexOf(permissionType),
  }
}

interface WireAcl {
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

function bindingOf(resourceType: number, resourceName: string, acl: WireAcl): AclBinding {
  return {
    resourceType: RESOURCE_TYPES[resourceType] ?? 'UNKNOWN',
    resourceName,
    principal: acl.principal,
    host: acl.host,
    operation: OPERATIONS[acl.operation] ?? 'UNKNOWN',
    permissionType: PERMISSIONS[acl.permissionType] ?? 'UNKNOWN',
  }
}

export async function describeAcls(
  context: AdminContext,
  filter: AclBindingFilter,
  options?: AdminCallOptions,
): Promise<readonly AclBinding[]> {
  const { resourceName, principal, host } = filter
  const request = { resourceName, principal, host, ...numbers(filter) }
  const answer = await context.ask('describe ACLs', options, 'DescribeAcls', request, ({ errorCode }) => errorCode)
  if (answer.errorCode !== ErrorCode.NONE) throw exceptionOf(answer.errorCode, answer.errorMessage)
  return answer.resources.flatMap((resource) =>
    resource.acls.map((acl) => bindingOf(resource.resourceType, resource.resourceName, acl)),
  )
}

export async function createAcls(
  context: AdminContext,
  acls: readonly AclBinding[],
  options?: AdminCallOptions,
): Promise<Results<AclBinding, void>> {
  const creations = acls.map((acl) => {
    const { resourceName, principal, host } = acl
    return { resourceName, principal, host, ...numbers(acl) }
  })
  const answer = await context.ask('create ACLs', options, 'CreateAcls', { creations })
  return resultsOf(
    acls.map((acl, i): Entry<AclBinding, void> => {
      const outcome = answer.creationResponses[i]
      return [acl, errorOf(outcome?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR, outcome?.errorMessage), undefined]
    }),
  )
}

export async function deleteAcls(
  context: AdminContext,
  filters: readonly AclBindingFilter[],
  options?: AdminCallOptions,
): Promise<Results<AclBindingFilter, readonly AclBinding[]>> {
  const request = {
    filters: filters.map((filter) => {
      const { resourceName, principal, host } = filter
      return { resourceName, principal, host, ...numbers(filter) }
    }),
  }
  const answer = await context.ask('delete ACLs', options, 'DeleteAcls', request)
  return resultsOf(
    filters.map((filter, i): Entry<AclBindingFilter, readonly AclBinding[]> => {
      const outcome = answer.filterResponses[i]
      if (outcome === undefined) return [filter, errorOf(ErrorCode.UNKNOWN_SERVER_ERROR), undefined]
      const failed = outcome.matchingAcls.find(({ errorCode }) => errorCode !== ErrorCode.NONE)
      const error = errorOf(outcome.errorCode, outcome.errorMessage) ?? (failed && errorOf(failed.errorCode, failed.errorMessage))
      const deleted = outcome.matchingAcls.map((acl) => bindingOf(acl.resourceType, acl.resourceName, acl))
      return [filter, error ?? null, deleted]
    }),
  )
}

// ---- delegation tokens

export async function createDelegationToken(
  context: AdminContext,
  options: AdminCallOptions & { readonly renewers?: readonly Principal[]; readonly maxLifeTimeMs?: Millis } = {},
): Promise<DelegationToken> {
  const { renewers = [], maxLifeTimeMs = -1 } = options
  const request = { renewers: renewers.map((one) => ({ ...one })), maxLifeTime: maxLifeTimeMs }
  const answer = await context.ask('create a delegation token', options, 'CreateDelegationToken', request)
  if (answer.errorCode !== ErrorCode.NONE) throw exceptionOf(answer.errorCode)
  const { tokenId, owner, issueTimestamp, expiryTimestamp, maxTimestamp } = answer
  return { tokenId, owner, renewers, issueTimestamp, expiryTimestamp, maxTimestamp, hmac: Buffer.from(answer.hmac) }
}

export async function renewDelegationToken(
  context: AdminContext,
  hmac: Buffer,
  options: AdminCallOptions & { readonly renewTimePeriodMs?: Millis } = {},
): Promise<EpochMillis> {
  const request = { hmac, renewTimePeriod: options.renewTimePeriodMs ?? -1 }
  const answer = await context.ask('renew a delegation token', options, 'RenewDelegationToken', request)
  if (answer.errorCode !== ErrorCode.NONE) throw exceptionOf(answer.errorCode)
  return answer.expiryTimestamp
}

export async function expireDelegationToken(
  context: AdminContext,
  hmac: Buffer,
  options: AdminCallOptions & { readonly expiryTimePeriodMs?: Millis } = {},
): Promise<EpochMillis> {
  const request = { hmac, expiryTimePeriod: options.expiryTimePeriodMs ?? -1 }
  const answer = await context.ask('expire a delegation token', options, 'ExpireDelegationToken', request)
  if (answer.errorCode !== ErrorCode.NONE) throw exceptionOf(answer.errorCode)
  return answer.expiryTimestamp
}

export async function describeDelegationToken(
  context: AdminContext,
  options: AdminCallOptions & { readonly owners?: readonly Principal[] } = {},
): Promise<readonly DelegationToken[]> {
  const request = { owners: options.owners?.map((one) => ({ ...one })) ?? null }
  const answer = await context.ask('describe delegation tokens', options, 'DescribeDelegationToken', request)
  throwRetriable(answer.errorCode)
  if (answer.errorCode !== ErrorCode.NONE) throw exceptionOf(answer.errorCode)
  return answer.tokenDetails.map((token) => ({ ...token, hmac: Buffer.from(token.hmac) }))
}
