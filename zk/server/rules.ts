import { type AuthId, permits, resolveAcl } from './acl.ts'
import { isSystemPath, isValidPath, parentOf, sequenceSuffix } from './paths.ts'
import { CONTAINER_OWNER, type CreateOp, type DeleteOp, Err, Op, Perm, type WriteOp } from './protocol.ts'
import type { Tree, TreeTxn, ZNode } from './tree.ts'

/** Who asks. */
export interface Caller {
  readonly sessionId: number
  readonly ids: readonly AuthId[]
}

/** The change a permitted write makes (`null` for a check, which makes none), or the error number of the first rule it breaks. */
export type Verdict = TreeTxn | null | number

/** Judges one write against the tree as it is. The order of the checks is the genuine server's: it decides which error is told. */
export function judge(op: WriteOp, tree: Tree, caller: Caller): Verdict {
  switch (op.type) {
    case Op.create:
    case Op.create2:
    case Op.createContainer:
    case Op.createTtl:
      return judgeCreate(op, tree, caller)
    case Op.delete:
      return judgeDelete(op, tree, caller)
    case Op.setData: {
      const err = judgeNode(op.path, Perm.write, 'version', op.version, tree, caller)
      return err === Err.ok ? { type: 'setData', path: op.path, data: op.data } : err
    }
    case Op.check: {
      const err = judgeNode(op.path, Perm.read, 'version', op.version, tree, caller)
      return err === Err.ok ? null : err
    }
    case Op.setAcl: {
      if (!isValidPath(op.path)) return Err.badArguments
      const acl = resolveAcl(op.acl, caller.ids)
      if (acl === null) return Err.invalidAcl
      const err = judgeNode(op.path, Perm.admin, 'aversion', op.version, tree, caller)
      return err === Err.ok ? { type: 'setAcl', path: op.path, acl } : err
    }
  }
}

function judgeNode(
  path: string,
  perm: number,
  counter: 'version' | 'aversion',
  version: number,
  tree: Tree,
  caller: Caller,
): number {
  if (!isValidPath(path)) return Err.badArguments
  const node = tree.get(path)
  if (node === undefined) return Err.noNode
  if (!permits(node.acl, perm, caller.ids)) return Err.noAuth
  return version === -1 || version === node[counter] ? Err.ok : Err.badVersion
}

function judgeCreate(op: CreateOp, tree: Tree, caller: Caller): Verdict {
  const modeError = judgeMode(op)
  if (modeError !== Err.ok) return modeError
  const parentPath = parentOf(op.path)
  if (parentPath === null) return Err.badArguments
  const acl = resolveAcl(op.acl, caller.ids)
  if (acl === null) return Err.invalidAcl
  const parent = tree.get(parentPath)
  if (parent === undefined) return Err.noNode
  if (!permits(parent.acl, Perm.create, caller.ids)) return Err.noAuth
  const path = isSequential(op.flags) ? op.path + sequenceSuffix(parent.creates) : op.path
  if (!isValidPath(path)) return Err.badArguments
  if (tree.get(path) !== undefined) return Err.nodeExists
  if (isEphemeral(parent)) return Err.noChildrenForEphemerals
  return { type: 'create', path, data: op.data, acl, owner: ownerOf(op, caller) }
}

/** TTL nodes are off in a genuine server unless `zookeeper.extendedTypesEnabled` is set. */
function judgeMode(op: CreateOp): number {
  if (op.flags < 0 || op.flags > 6) return Err.badArguments
  if (op.flags >= 5) return Err.unimplemented
  return op.type === Op.createTtl ? Err.badArguments : Err.ok
}

function isSequential(flags: number): boolean {
  return flags === 2 || flags === 3
}

/** A container is made by its own op code only; flag 4 through a plain create gives a persistent node, as in the genuine server. */
function ownerOf(op: CreateOp, caller: Caller): number {
  if (op.type === Op.createContainer) return CONTAINER_OWNER
  return op.flags === 1 || op.flags === 3 ? caller.sessionId : 0
}

function isEphemeral(node: ZNode): boolean {
  return node.owner !== 0 && node.owner !== CONTAINER_OWNER
}

function judgeDelete(op: DeleteOp, tree: Tree, caller: Caller): Verdict {
  const parentPath = parentOf(op.path)
  if (parentPath === null || isSystemPath(op.path)) return Err.badArguments
  const parent = tree.get(parentPath)
  if (parent === undefined) return Err.noNode
  if (!permits(parent.acl, Perm.delete, caller.ids)) return Err.noAuth
  const node = tree.get(op.path)
  if (node === undefined) return Err.noNode
  if (op.version !== -1 && op.version !== node.version) return Err.badVersion
  if (node.children !== null && node.children.size > 0) return Err.notEmpty
  return { type: 'delete', path: op.path }
}
