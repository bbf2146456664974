const P1 = 0x9e3779b1 | 0
const P2 = 0x85ebca77 | 0
const P3 = 0xc2b2ae3d | 0
const P4 = 0x27d4eb2f
const P5 = 0x165667b1

function rotate(value: number, by: number): number {
  return (value << by) | (value >>> (32 - by))
}

function word(b: Uint8Array, i: number): number {
  return b[i]! | (b[i + 1]! << 8) | (b[i + 2]! << 16) | (b[i + 3]! << 24)
}

/** xxHash32 of `bytes[start, end)`, unsigned. */
export function xxHash32(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  let i = start
  let hash: number
  if (end - start >= 16) {
    let a = (seed + P1 + P2) | 0
    let b = (seed + P2) | 0
    let c = seed | 0
    let d = (seed - P1) | 0
    for (; i + 16 <= end; i += 16) {
      a = Math.imul(rotate((a + Math.imul(word(bytes, i), P2)) | 0, 13), P1)
      b = Math.imul(rotate((b + Math.imul(word(bytes, i + 4), P2)) | 0, 13), P1)
      c = Math.imul(rotate((c + Math.imul(word(bytes, i + 8), P2)) | 0, 13), P1)
      d = Math.imul(rotate((d + Math.imul(word(bytes, i + 12), P2)) | 0, 13), P1)
    }
    hash = (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0
  } else {
    hash = (seed + P5) | 0
  }
  hash = (hash + (end - start)) | 0
  for (; i + 4 <= end; i += 4) hash = Math.imul(rotate((hash + Math.imul(word(bytes, i), P3)) | 0, 17), P4)
  for (; i < end; i++) hash = Math.imul(rotate((hash + Math.imul(bytes[i]!, P5)) | 0, 11), P1)
  hash = Math.imul(hash ^ (hash >>> 15), P2)
  hash = Math.imul(hash ^ (hash >>> 13), P3)
  return (hash ^ (hash >>> 16)) >>> 0
}
