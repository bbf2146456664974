import { Err, type MultiOp, type MultiResult, Op } from './protocol.ts'
import { type Caller, judge } from './rules.ts'
import type { Effect, Tree, TreeTxn } from './tree.ts'

/** What became of a multi. On failure the tree is as before, and `txns` and `effects` are empty. */
export interface MultiOutcome {
  readonly results: readonly MultiResult[]
  readonly txns: readonly TreeTxn[]
  readonly effects: readonly Effect[]
}

/** All or nothing; later ops see what earlier ones did. Watchers must hear of `effects` only after this returns. */
export function applyMulti(ops: readonly MultiOp[], tree: Tree, caller: Caller, zxid: number, time: number): MultiOutcome {
  const undo: (() => void)[] = []
  const results: MultiResult[] = []
  const txns: TreeTxn[] = []
  const effects: Effect[] = []
  for (const [i, op] of ops.entries()) {
    const verdict = judge(op, tree, caller)
    if (typeof verdict === 'number') {
      for (const revert of undo.reverse()) revert()
      return { results: failure(ops.length, i, verdict), txns: [], effects: [] }
    }
    if (verdict !== null) {
      const effect = tree.apply(verdict, zxid, time, undo)
      if (effect !== null) effects.push(effect)
      txns.push(verdict)
    }
    results.push(resultOf(op, verdict, tree))
  }
  return { results, txns, effects }
}

function resultOf(op: MultiOp, txn: TreeTxn | null, tree: Tree): MultiResult {
  if (txn === null) return { kind: 'check' }
  switch (op.type) {
    case Op.delete:
      return { kind: 'delete' }
    case Op.setData:
      return { kind: 'setData', stat: tree.statOf(tree.get(txn.path)!) }
    case Op.createContainer:
      return { kind: 'create2', path: txn.path, stat: tree.statOf(tree.get(txn.path)!) }
    default:
      return { kind: 'create', path: txn.path }
  }
}

/** Those before the failing op say 0 though they were undone, those after it -2. */
function failure(count: number, at: number, err: number): MultiResult[] {
  return Array.from({ length: count }, (_, i) => ({
    kind: 'error',
    err: i < at ? Err.ok : i === at ? err : Err.runtimeInconsistency,
  }))
}
