import { type Cursor, OPEN, Packet, type RawAcl, type RawStat } from './raw-client.ts'

/** Same numbers for the same seed, everywhere (mulberry32). */
export class SeededRandom {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** 0 <= n < 1 */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let t = this.state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  below(n: number): number {
    return Math.floor(this.next() * n)
  }

  chance(p: number): boolean {
    return this.next() < p
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}

/** What a server said, in a form in which two servers can be compared. */
export type Canonical = unknown

/** How zxids and session ids of one server are made comparable. */
export interface Normalizer {
  zxid(value: bigint): number
  session(value: bigint): string
}

export interface RandomOp {
  readonly type: number
  readonly body: Buffer
  readonly text: string
  /** The body of a successful reply. */
  parse(body: Cursor, n: Normalizer): Canonical
}

const GOOD = ['/a', '/b', '/a/b', '/a/c', '/a/b/c', '/e', '/e', '/e/x', '/s', '/s/n-', '/a/b/n-'] as const
const SYSTEM = ['/', '/zookeeper', '/zookeeper/quota', '/zookeeper/config', '/zookeeper/x'] as const
const BAD = [
  '',
  'x',
  'x/y',
  '/a/',
  '//',
  '/a//b',
  '/a/./b',
  '/a/..',
  '/.',
  '/a/...',
  '/\0',
  '/a\u0001',
  '/\ufffd',
  '/\u00e9',
  '/a/b\u009f',
]

const ACLS: readonly (readonly RawAcl[])[] = [
  [{ perms: 1, scheme: 'world', id: 'anyone' }],
  [{ perms: 30, scheme: 'world', id: 'anyone' }],
  [{ perms: 31, scheme: 'auth', id: '' }],
  [{ perms: 31, scheme: 'digest', id: 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=' }],
  [{ perms: 31, scheme: 'ip', id: '127.0.0.1' }],
  [{ perms: 31, scheme: 'ip', id: '127.0.0.0/8' }],
  [
    { perms: 31, scheme: 'ip', id: '10.0.0.0/8' },
    { perms: 1, scheme: 'world', id: 'anyone' },
  ],
  [
    { perms: 17, scheme: 'world', id: 'anyone' },
    { perms: 17, scheme: 'world', id: 'anyone' },
    { perms: 14, scheme: 'auth', id: 'x' },
  ],
  [],
  [{ perms: 31, scheme: 'bogus', id: 'x' }],
  [{ perms: 31, scheme: 'world', id: 'someone' }],
  [{ perms: 31, scheme: 'digest', id: 'nocolon' }],
  [{ perms: 31, scheme: 'digest', id: 'a:b:c' }],
  [{ perms: 31, scheme: 'digest', id: ':b::' }],
  [{ perms: 31, scheme: 'ip', id: '1.2.3' }],
  [{ perms: 31, scheme: 'ip', id: '1.2.3.4/33' }],
  [{ perms: 0, scheme: 'world', id: 'anyone' }],
  [{ perms: -1, scheme: 'world', id: 'anyone' }],
]

/** Credentials for auth packets; the first two are what {@link ACLS} grant. */
export const CREDENTIALS = ['u:p', 'v:q', 'solo', ''] as const

export function canonicalStat(s: RawStat, n: Normalizer): Canonical {
  return {
    ...s,
    czxid: n.zxid(s.czxid),
    mzxid: n.zxid(s.mzxid),
    pzxid: n.zxid(s.pzxid),
    ephemeralOwner: n.session(s.ephemeralOwner),
    // two servers never have the same clock: only whether there is a time at all
    ctime: s.ctime === 0n ? 'never' : 'some time',
    mtime: s.mtime === 0n ? 'never' : 'some time',
  }
}

/** Makes random requests over a small space of paths, so that they meet each other. */
export class OpGenerator {
  readonly random: SeededRandom
  private readonly lastZxid: () => bigint

  /** `lastZxid`: of one of the servers, for setWatches. */
  constructor(random: SeededRandom, lastZxid: () => bigint) {
    this.random = random
    this.lastZxid = lastZxid
  }

  next(): RandomOp {
    const r = this.random
    const roll = r.below(100)
    if (roll < 22) return this.create()
    if (roll < 32) return this.delete()
    if (roll < 40) return this.setData()
    if (roll < 64) return this.read()
    if (roll < 68) return this.setAcl()
    if (roll < 72) return this.getAcl()
    if (roll < 84) return this.multi()
    if (roll < 86) return this.multiRead()
    if (roll < 90) return this.setWatches()
    if (roll < 94) return this.watchOp()
    if (roll < 98) return this.small()
    return this.malformed()
  }

  private path(): string {
    const roll = this.random.below(100)
    return roll < 84 ? this.random.pick(GOOD) : roll < 92 ? this.random.pick(SYSTEM) : this.random.pick(BAD)
  }

  private version(): number {
    return this.random.chance(0.6) ? -1 : this.random.pick([0, 1, 2, 5, -2])
  }

  private acl(): readonly RawAcl[] {
    return this.random.chance(0.8) ? OPEN : this.random.pick(ACLS)
  }

  private data(): Buffer | null {
    return this.random.chance(0.1) ? null : Buffer.from('x'.repeat(this.random.below(5)))
  }

  private createBody(oddFlags: readonly number[] = [5, 6, 7, -1]): { body: Packet; text: string } {
    const [path, data, acl] = [this.path(), this.data(), this.acl()]
    const usual = path === '/e' ? [1] : [0, 0, 0, 1, 1, 2, 3, 4]
    const flags = this.random.chance(0.95) ? this.random.pick(usual) : this.random.pick(oddFlags)
    const body = new Packet().string(path).bytes(data).acl(acl).int(flags)
    return { body, text: `${JSON.stringify(path)} data ${data} acl ${JSON.stringify(acl)} flags ${flags}` }
  }

  private create(): RandomOp {
    const { body, text } = this.createBody()
    const type = this.random.pick([1, 1, 1, 15, 15, 19, 21])
    // a TTL create without a TTL mode would harm the genuine server
    if (type === 21) body.long(5n)
    const parse = (c: Cursor, n: Normalizer) => (type === 1 ? c.string() : [c.string(), canonicalStat(c.stat(), n)])
    return { type, body: body.build(), text: `create(${type}) ${text}`, parse }
  }

  private delete(): RandomOp {
    const [path, version] = [this.path(), this.version()]
    const body = new Packet().string(path).int(version).build()
    return { type: 2, body, text: `delete ${JSON.stringify(path)} version ${version}`, parse: () => null }
  }

  private setData(): RandomOp {
    const [path, version] = [this.path(), this.version()]
    const body = new Packet().string(path).bytes(this.data()).int(version).build()
    return {
      type: 5,
      body,
      text: `setData ${JSON.stringify(path)} version ${version}`,
      parse: (c, n) => canonicalStat(c.stat(), n),
    }
  }

  private read(): RandomOp {
    const [path, watch, type] = [this.path(), this.random.chance(0.6), this.random.pick([3, 4, 8, 12])]
    const body = new Packet().string(path).bool(watch).build()
    const text = `read(${type}) ${JSON.stringify(path)} watch ${watch}`
    const parse = (c: Cursor, n: Normalizer): Canonical => {
      if (type === 3) return canonicalStat(c.stat(), n)
      if (type === 4) return [c.bytes()?.toString() ?? null, canonicalStat(c.stat(), n)]
      const names = c.strings().sort()
      return type === 8 ? names : [names, canonicalStat(c.stat(), n)]
    }
    return { type, body, text, parse }
  }

  private setAcl(): RandomOp {
    const [path, acl, version] = [this.path(), this.acl(), this.version()]
    const body = new Packet().string(path).acl(acl).int(version).build()
    const text = `setAcl ${JSON.stringify(path)} ${JSON.stringify(acl)} version ${version}`
    return { type: 7, body, text, parse: (c, n) => canonicalStat(c.stat(), n) }
  }

  private getAcl(): RandomOp {
    const path = this.path()
    const parse = (c: Cursor, n: Normalizer) => [
      c
        .acl()
        .map((a) => JSON.stringify(a))
        .sort(),
      canonicalStat(c.stat(), n),
    ]
    return { type: 6, body: new Packet().string(path).build(), text: `getAcl ${JSON.stringify(path)}`, parse }
  }

  private multi(): RandomOp {
    const body = new Packet()
    const texts: string[] = []
    for (let count = this.random.below(5); count > 0; count--) texts.push(this.multiPart(body))
    if (this.random.chance(0.02)) body.int(7).bool(false).int(-1)
    body.int(-1).bool(true).int(-1)
    return { type: 14, body: body.build(), text: `multi [${texts.join('; ')}]`, parse: parseMulti }
  }

  private multiPart(body: Packet): string {
    const type = this.random.pick([1, 1, 1, 15, 19, 2, 2, 5, 5, 13])
    body.int(type).bool(false).int(-1)
    if (type === 1 || type === 15 || type === 19) {
      // a TTL flag in a plain create harms the genuine server
      const create = this.createBody([7, -1])
      body.raw(create.body.build())
      return `create(${type}) ${create.text}`
    }
    const [path, version] = [this.path(), this.version()]
    body.string(path)
    if (type === 5) body.bytes(this.data())
    body.int(version)
    return `${type} ${JSON.stringify(path)} version ${version}`
  }

  private multiRead(): RandomOp {
    const body = new Packet()
    const texts: string[] = []
    for (let count = this.random.below(4); count > 0; count--) {
      const [type, path] = [this.random.pick([4, 8]), this.path()]
      body.int(type).bool(false).int(-1).string(path).bool(this.random.chance(0.5))
      texts.push(`${type} ${JSON.stringify(path)}`)
    }
    body.int(-1).bool(true).int(-1)
    return { type: 22, body: body.build(), text: `multiRead [${texts.join('; ')}]`, parse: parseMulti }
  }

  private setWatches(): RandomOp {
    const both = this.random.chance(0.4)
    const back = this.random.below(12)
    const zxid = this.lastZxid() - BigInt(back)
    const body = new Packet().long(zxid < 0n ? 0n : zxid)
    const lists = Array.from({ length: both ? 5 : 3 }, (_, i) => this.paths(i < 3 ? 4 : 2))
    for (const list of lists) body.strings(list)
    return {
      type: both ? 105 : 101,
      body: body.build(),
      text: `setWatches last-${back} ${JSON.stringify(lists)}`,
      parse: () => null,
    }
  }

  private paths(max: number): string[] {
    return Array.from({ length: this.random.below(max) }, () => this.path())
  }

  private watchOp(): RandomOp {
    // the genuine server stumbles over a path without a slash here, but only while somebody has a recursive watch
    const [path, type] = [this.random.pick(GOOD), this.random.pick([106, 106, 17, 18])]
    const argument = type === 106 ? this.random.pick([0, 0, 1, 1, 2]) : this.random.pick([1, 2, 3])
    const body = new Packet().string(path).int(argument).build()
    return {
      type,
      body,
      text: `watch(${type}) ${JSON.stringify(path)} ${argument}`,
      parse: (c) => (type === 106 ? c.int() : null),
    }
  }

  private small(): RandomOp {
    const path = this.path()
    const withPath = new Packet().string(path).build()
    switch (this.random.below(5)) {
      case 0:
        return { type: 9, body: withPath, text: `sync ${JSON.stringify(path)}`, parse: (c) => c.string() }
      case 1:
        return { type: 103, body: withPath, text: `getEphemerals ${JSON.stringify(path)}`, parse: (c) => c.strings().sort() }
      case 2:
        return { type: 104, body: withPath, text: `getAllChildrenNumber ${JSON.stringify(path)}`, parse: (c) => c.int() }
      case 3: {
        const parse = (c: Cursor) => Array.from({ length: c.int() }, () => `${c.string()} ${c.string()}`).sort()
        return { type: 107, body: Buffer.alloc(0), text: 'whoAmI', parse }
      }
      default:
        return {
          type: 16,
          body: new Packet().string('').string('').string('').long(-1n).build(),
          text: 'reconfig',
          parse: () => null,
        }
    }
  }

  /** A request cut short somewhere. */
  private malformed(): RandomOp {
    const op = this.random.pick([
      () => this.create(),
      () => this.setData(),
      () => this.read(),
      () => this.multi(),
      () => this.getAcl(),
    ])()
    const length = this.random.below(op.body.length)
    return { ...op, body: op.body.subarray(0, length), text: `${op.text} cut to ${length} bytes` }
  }
}

function parseMulti(c: Cursor, n: Normalizer): Canonical {
  const results: Canonical[] = []
  for (;;) {
    const [type, done, err] = [c.int(), c.bool(), c.int()]
    if (done) return [...results, { type, err }]
    results.push({ type, err, body: multiBody(type, c, n) })
  }
}

function multiBody(type: number, c: Cursor, n: Normalizer): Canonical {
  switch (type) {
    case -1:
      return c.int()
    case 1:
      return c.string()
    case 4:
      return [c.bytes()?.toString() ?? null, canonicalStat(c.stat(), n)]
    case 5:
      return canonicalStat(c.stat(), n)
    case 8:
      return c.strings().sort()
    case 15:
      return [c.string(), canonicalStat(c.stat(), n)]
    default:
      return null
  }
}
