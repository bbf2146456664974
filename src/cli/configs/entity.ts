/** What `--entity-type`, `--entity-name` and `--entity-default` of kafka-configs mean together. */
import type { KafkaZk } from '../../../zk/store/types.ts'
import { DEFAULT_ENTITY, desanitize, sanitize } from '../../../zk/znodes/config-entity.ts'
import type { ConfigEntityType } from '../../../zk/znodes/types.ts'
import type { ParsedOptions } from '../jopt.ts'
import { only, ToolError } from '../tool.ts'

export const ENTITY_TYPES: readonly ConfigEntityType[] = ['topics', 'clients', 'users', 'brokers']
const SHOWN: Partial<Record<ConfigEntityType, string>> = { topics: 'topic', clients: 'client-id', users: 'user-principal' }

interface Part {
  readonly type: ConfigEntityType
  /** As a node name; undefined: all of the type. */
  readonly name: string | undefined
}

/** A topic, broker, user or client; or a user and one of its clients. */
export interface Entity {
  readonly root: Part
  readonly child: Part | undefined
}

/** Node name below `/config/<type>`. */
export function nodeName({ root, child }: Entity): string {
  if (child === undefined) return root.name ?? ''
  return `${root.name ?? ''}/${child.type}${child.name === undefined ? '' : `/${child.name}`}`
}

function partText({ type, name }: Part): string {
  const shown = SHOWN[type] ?? type
  if (name === undefined) return type
  if (name === DEFAULT_ENTITY) return `default ${shown}`
  return `${shown} '${type === 'users' || type === 'clients' ? desanitize(name) : name}'`
}

export function entityText({ root, child }: Entity): string {
  return child === undefined ? partText(root) : `${partText(root)}, ${partText(child)}`
}

/** The names in the order given, `undefined` for `--entity-default`. */
function givenNames(given: ParsedOptions): (string | undefined)[] {
  const names = [...(given.get('entity-name') ?? [])]
  return given.order
    .filter((option) => option === 'entity-name' || option === 'entity-default')
    .map((option) => (option === 'entity-name' ? names.shift() : undefined))
}

/** Throws `ToolError`. The types have been checked. */
export function parseEntity(given: ParsedOptions): Entity {
  const types = (given.get('entity-type') ?? []) as ConfigEntityType[]
  const [first = 'topics', second] = types
  const names = givenNames(given)
  const nodeNames = names.map((name) => (name === undefined || name === '' ? DEFAULT_ENTITY : name))
  if (first !== 'users' && first !== 'clients') {
    // Only brokers have a default of their own.
    const name = given.has('entity-name') ? only(given, 'entity-name') : first === 'brokers' ? nodeNames[0] : undefined
    return { root: { type: first, name }, child: undefined }
  }
  if (given.has('alter') && names.length !== types.length) {
    throw new ToolError(
      'java.lang.IllegalArgumentException',
      '--entity-name or --entity-default must be specified with each --entity-type for --alter',
    )
  }
  const quoted = nodeNames.map((name) => (name === DEFAULT_ENTITY ? name : sanitize(name)))
  const parts: Part[] = types.map((type, i) => ({ type, name: quoted[i] }))
  // The user stands in front, whatever came first.
  if (second !== undefined && first === 'clients') {
    const [client, user] = quoted
    const isPair = quoted.length === 2
    return {
      root: { type: 'users', name: isPair ? user : client },
      child: { type: 'clients', name: isPair ? client : undefined },
    }
  }
  return { root: parts[0] ?? { type: first, name: undefined }, child: parts[1] }
}

/** The entities with a node that an entity without names stands for. */
export async function expandEntity(zk: KafkaZk, { root, child }: Entity): Promise<Entity[]> {
  if (root.name === undefined) {
    const names = (await zk.getAllConfigEntities(root.type)).sort()
    const roots = names.map((name) => ({ root: { type: root.type, name }, child: undefined }))
    if (child === undefined) return roots
    const nested = await Promise.all(
      roots.map((one) => expandEntity(zk, { root: one.root, child: { type: child.type, name: undefined } })),
    )
    return nested.flat()
  }
  if (child === undefined || child.name !== undefined) return [{ root, child }]
  const names = (await zk.getAllConfigEntities(root.type, `${root.name}/${child.type}`)).sort()
  return names.map((name) => ({ root, child: { type: child.type, name } }))
}
