/**
 * Whether ZooKeeper takes this as the path of a node. The character ranges are those of the genuine server, with its exclusive bounds
 * (U+D800, U+F8FF, U+FFF0 and U+FFFF themselves pass).
 */
export function isValidPath(path: string): boolean {
  if (path.charCodeAt(0) !== 47) return false
  if (path.length === 1) return true
  if (path.charCodeAt(path.length - 1) === 47) return false
  let segmentStart = 1
  for (let i = 1; i <= path.length; i++) {
    const c = i === path.length ? 47 : path.charCodeAt(i)
    if (c === 47) {
      const length = i - segmentStart
      if (length === 0) return false
      if (length <= 2 && isDots(path, segmentStart, length)) return false
      segmentStart = i + 1
    } else if (isForbidden(c)) {
      return false
    }
  }
  return true
}

function isDots(path: string, start: number, length: number): boolean {
  return path.charCodeAt(start) === 46 && (length === 1 || path.charCodeAt(start + 1) === 46)
}

function isForbidden(c: number): boolean {
  if (c <= 0x1f) return true
  if (c < 0x7f) return false
  return c <= 0x9f || (c > 0xd800 && c < 0xf8ff) || (c > 0xfff0 && c < 0xffff)
}

/** The part before the last slash; the root's own name there is the empty string. `null` when there is no slash or a NUL inside. */
export function parentOf(path: string): string | null {
  const slash = path.lastIndexOf('/')
  return slash === -1 || path.includes('\0') ? null : path.slice(0, slash)
}

/** Nodes that every server has and nobody can delete. */
export function isSystemPath(path: string): boolean {
  return path === '/' || path === '/zookeeper' || path === '/zookeeper/config' || path === '/zookeeper/quota'
}

/** Suffix of a sequential node: ten digits, a negative counter as Java formats it (the sign counts). */
export function sequenceSuffix(counter: number): string {
  return counter >= 0 ? String(counter).padStart(10, '0') : `-${String(-counter).padStart(9, '0')}`
}
