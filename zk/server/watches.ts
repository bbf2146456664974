import type { Acl } from '../client/types.ts'
import type { SetWatchesOp } from './protocol.ts'
import { EventType } from './protocol.ts'
import type { Effect, Tree } from './tree.ts'

export type WatchMode = 'once' | 'persistent' | 'recursive'

/** What the watch tables need of a connection. */
export interface Watcher {
  /** Sends the event, unless the connection may not read a node with this ACL (`null`: no check). */
  fire(type: EventType, path: string, acl: readonly Acl[] | null): void
}

/** One kind of watch: path -> watchers, and back. */
class WatchTable<W extends Watcher> {
  private readonly byPath = new Map<string, Map<W, WatchMode>>()
  private readonly byWatcher = new Map<W, Set<string>>()
  private recursive = 0

  /** A later watch of the same connection on the same path replaces the mode of the earlier one. */
  add(path: string, watcher: W, mode: WatchMode): void {
    let watchers = this.byPath.get(path)
    if (watchers === undefined) this.byPath.set(path, (watchers = new Map()))
    this.countMode(watchers.get(watcher), -1)
    this.countMode(mode, 1)
    watchers.set(watcher, mode)
    const paths = this.byWatcher.get(watcher)
    if (paths === undefined) this.byWatcher.set(watcher, new Set([path]))
    else paths.add(path)
  }

  /** The genuine 3.8 server's answer to checkWatches: whether anybody watches the path. */
  has(path: string): boolean {
    return this.byPath.has(path)
  }

  remove(path: string, watcher: W): boolean {
    const watchers = this.byPath.get(path)
    const mode = watchers?.get(watcher)
    if (watchers === undefined || mode === undefined) return false
    this.countMode(mode, -1)
    watchers.delete(watcher)
    if (watchers.size === 0) this.byPath.delete(path)
    const paths = this.byWatcher.get(watcher)!
    paths.delete(path)
    if (paths.size === 0) this.byWatcher.delete(watcher)
    return true
  }

  removeWatcher(watcher: W): void {
    for (const path of [...(this.byWatcher.get(watcher) ?? [])]) this.remove(path, watcher)
  }

  /** Who is to hear of it; one-shot watches are used up. Recursive ones do not hear of child lists. */
  take(path: string, type: EventType): Set<W> | null {
    let found: Set<W> | null = null
    const watchers = this.byPath.get(path)
    if (watchers !== undefined) {
      found = new Set()
      for (const [watcher, mode] of [...watchers]) {
        if (mode === 'once') this.remove(path, watcher)
        if (mode !== 'recursive' || type !== EventType.childrenChanged) found.add(watcher)
      }
    }
    if (this.recursive > 0 && type !== EventType.childrenChanged) found = this.takeAbove(path, found)
    return found
  }

  private takeAbove(path: string, found: Set<W> | null): Set<W> | null {
    for (let at = path; at.length > 1; ) {
      at = at.slice(0, Math.max(1, at.lastIndexOf('/')))
      for (const [watcher, mode] of this.byPath.get(at) ?? []) {
        if (mode === 'recursive') (found ??= new Set()).add(watcher)
      }
    }
    return found
  }

  private countMode(mode: WatchMode | undefined, by: number): void {
    if (mode === 'recursive') this.recursive += by
  }

  get pathCount(): number {
    return this.byPath.size
  }

  get watcherCount(): number {
    return this.byWatcher.size
  }

  get watchCount(): number {
    let count = 0
    for (const paths of this.byWatcher.values()) count += paths.size
    return count
  }

  entries(): IterableIterator<[W, Set<string>]> {
    return this.byWatcher.entries()
  }
}

/** All watches of a server: data watches (also those of `exists`) and child watches. They belong to connections, not to sessions. */
export class Watches<W extends Watcher> {
  readonly data = new WatchTable<W>()
  readonly child = new WatchTable<W>()

  /** Tells the watchers of one change, in the genuine order: the node's data watches, its child watches, the parent's child watches. */
  fire(effect: Effect): void {
    if (effect.kind === 'dataChanged') {
      this.notify(this.data.take(effect.path, EventType.dataChanged), EventType.dataChanged, effect.path, effect.acl)
      return
    }
    if (effect.kind === 'created') {
      this.notify(this.data.take(effect.path, EventType.created), EventType.created, effect.path, effect.acl)
    } else {
      const told = this.data.take(effect.path, EventType.deleted)
      this.notify(told, EventType.deleted, effect.path, effect.acl)
      const rest = this.child.take(effect.path, EventType.deleted)
      if (rest !== null && told !== null) for (const watcher of told) rest.delete(watcher)
      this.notify(rest, EventType.deleted, effect.path, effect.acl)
    }
    this.notify(
      this.child.take(effect.parent, EventType.childrenChanged),
      EventType.childrenChanged,
      effect.parent,
      effect.parentAcl,
    )
  }

  private notify(watchers: Set<W> | null, type: EventType, path: string, acl: readonly Acl[]): void {
    if (watchers !== null) for (const watcher of watchers) watcher.fire(type, path, acl)
  }

  /** addWatch: both tables hold it, so that `checkWatches` of either kind finds it. */
  addPersistent(path: string, watcher: W, recursive: boolean): void {
    const mode = recursive ? 'recursive' : 'persistent'
    this.data.add(path, watcher, mode)
    this.child.add(path, watcher, mode)
  }

  /** After a reconnect: what the connection missed since `relativeZxid` fires at once, the rest is armed. */
  rearm(op: SetWatchesOp, tree: Tree, watcher: W): void {
    for (const path of op.data) {
      const node = tree.get(path)
      if (node === undefined) watcher.fire(EventType.deleted, path, null)
      else if (node.mzxid > op.relativeZxid) watcher.fire(EventType.dataChanged, path, null)
      else this.data.add(path, watcher, 'once')
    }
    for (const path of op.exist) {
      if (tree.get(path) !== undefined) watcher.fire(EventType.created, path, null)
      else this.data.add(path, watcher, 'once')
    }
    for (const path of op.child) {
      const node = tree.get(path)
      if (node === undefined) watcher.fire(EventType.deleted, path, null)
      else if (node.pzxid > op.relativeZxid) watcher.fire(EventType.childrenChanged, path, null)
      else this.child.add(path, watcher, 'once')
    }
    for (const path of op.persistent) this.addPersistent(path, watcher, false)
    for (const path of op.recursive) this.addPersistent(path, watcher, true)
  }

  drop(watcher: W): void {
    this.data.removeWatcher(watcher)
    this.child.removeWatcher(watcher)
  }
}
