/** The commands of ZooKeeper 3.4's shell that ask the server: their results go to stdout, statistics and complaints to stderr. */

import { pathProblem } from '../../../zk/client/connect-string.ts'
import { OPEN_ACL, type ZkCode, type ZkResponse } from '../../../zk/client/index.ts'
import type { ShellConnection } from './connection.ts'
import { aclText, parseAcl, statText } from './text.ts'

export interface ShellOutput {
  out(text: string): void
  err(text: string): void
}

/** A refusal of the server, in the shell's words. */
class Refusal extends Error {}

const REFUSALS: Partial<Record<ZkCode, string>> = {
  noNode: 'Node does not exist: ',
  noChildrenForEphemerals: 'Ephemerals cannot have children: ',
  nodeExists: 'Node already exists: ',
  notEmpty: 'Node not empty: ',
  invalidAcl: 'Acl is not valid : ',
  noAuth: 'Authentication is not valid : ',
  badArguments: 'Arguments are not valid : ',
  badVersion: 'version No is not valid : ',
}

function accepted(response: ZkResponse, path: string): ZkResponse {
  if (response.code === 'ok') return response
  const words = REFUSALS[response.code]
  throw new Refusal(words === undefined ? `Command failed: ${response.code} (${response.rawCode}) for ${path}` : words + path)
}

function checkPath(path: string): string {
  const problem = pathProblem(path)
  if (problem !== undefined) {
    throw new Refusal(`Command failed: java.lang.IllegalArgumentException: Invalid path string "${path}": it ${problem}`)
  }
  return path
}

function versionOf(word: string | undefined): number {
  if (word === undefined) return -1
  if (!/^[+-]?\d+$/.test(word)) {
    throw new Refusal(`Command failed: java.lang.NumberFormatException: For input string: "${word}"`)
  }
  return Number(word)
}

const printStat = (io: ShellOutput, { stat }: ZkResponse): void => {
  if (stat !== undefined) io.err(statText(stat))
}

type Command = (zk: ShellConnection, words: readonly string[], io: ShellOutput) => Promise<void>

interface CommandRule {
  /** Fewer words do nothing, as in 3.4. */
  readonly leastWords: number
  readonly run: Command
}

async function children(zk: ShellConnection, path: string, watch: boolean): Promise<string> {
  if (watch) zk.watchChildren(path)
  const answer = accepted(await zk.request({ op: 'getChildren', path: checkPath(path) }), path)
  return `[${(answer.children ?? []).join(', ')}]\n`
}

const create: Command = async (zk, words, io) => {
  const flags = words.slice(1, 3).filter((word) => word === '-s' || word === '-e')
  const [path = '', data, acl] = words.slice(1 + flags.length)
  if (data === undefined) return
  const isEphemeral = flags.includes('-e')
  const isSequential = flags.includes('-s')
  const mode = isEphemeral
    ? isSequential
      ? 'ephemeralSequential'
      : 'ephemeral'
    : isSequential
      ? 'persistentSequential'
      : 'persistent'
  const entries =
    acl === undefined ? OPEN_ACL : parseAcl(acl, (entry) => io.err(`${entry} does not have the form scheme:id:perm\n`))
  const request = { op: 'create', path: checkPath(path), data: Buffer.from(data), acl: entries, mode } as const
  io.err(`Created ${accepted(await zk.request(request), path).path}\n`)
}

async function removeTree(zk: ShellConnection, path: string): Promise<void> {
  const answer = accepted(await zk.request({ op: 'getChildren', path: checkPath(path) }), path)
  for (const child of answer.children ?? []) await removeTree(zk, path === '/' ? `/${child}` : `${path}/${child}`)
  accepted(await zk.request({ op: 'delete', path, version: -1 }), path)
}

const notHere: Command = async (_zk, words, io) => {
  io.err(`${words[0]}: not supported by this shell\n`)
}

/** By name. `words[0]` is the command itself. */
export const serverCommands: Readonly<Record<string, CommandRule>> = {
  ls: {
    leastWords: 2,
    run: async (zk, words, io) => io.out(await children(zk, words[1] ?? '', words.length > 2)),
  },
  ls2: {
    leastWords: 2,
    run: async (zk, words, io) => {
      const path = words[1] ?? ''
      io.out(await children(zk, path, words.length > 2))
      printStat(io, accepted(await zk.request({ op: 'exists', path }), path))
    },
  },
  get: {
    leastWords: 2,
    run: async (zk, words, io) => {
      const path = checkPath(words[1] ?? '')
      if (words.length > 2) zk.watchNode(path)
      const answer = accepted(await zk.request({ op: 'getData', path }), path)
      io.out(`${answer.data?.toString() ?? 'null'}\n`)
      printStat(io, answer)
    },
  },
  stat: {
    leastWords: 2,
    run: async (zk, words, io) => {
      const path = checkPath(words[1] ?? '')
      if (words.length > 2) zk.watchNode(path)
      printStat(io, accepted(await zk.request({ op: 'exists', path }), path))
    },
  },
  set: {
    leastWords: 3,
    run: async (zk, words, io) => {
      const [, path = '', data = ''] = words
      const request = { op: 'setData', path: checkPath(path), data: Buffer.from(data), version: versionOf(words[3]) } as const
      printStat(io, accepted(await zk.request(request), path))
    },
  },
  create: { leastWords: 3, run: create },
  delete: {
    leastWords: 2,
    run: async (zk, words) => {
      const path = checkPath(words[1] ?? '')
      accepted(await zk.request({ op: 'delete', path, version: versionOf(words[2]) }), path)
    },
  },
  rmr: { leastWords: 2, run: (zk, words) => removeTree(zk, words[1] ?? '') },
  getAcl: {
    leastWords: 2,
    run: async (zk, words, io) => {
      const path = checkPath(words[1] ?? '')
      for (const acl of accepted(await zk.request({ op: 'getAcl', path }), path).acl ?? []) io.out(aclText(acl))
    },
  },
  setAcl: {
    leastWords: 3,
    run: async (zk, words, io) => {
      const path = checkPath(words[1] ?? '')
      const acl = parseAcl(words[2] ?? '', (entry) => io.err(`${entry} does not have the form scheme:id:perm\n`))
      printStat(io, accepted(await zk.request({ op: 'setAcl', path, acl, version: versionOf(words[3]) }), path))
    },
  },
  sync: { leastWords: 2, run: notHere },
  listquota: { leastWords: 2, run: notHere },
  setquota: { leastWords: 4, run: notHere },
  delquota: { leastWords: 2, run: notHere },
}

/** Runs one; what the server refuses is printed. Throws `ToolError` without a connection. */
export async function runServerCommand(zk: ShellConnection, words: readonly string[], io: ShellOutput): Promise<void> {
  const rule = serverCommands[words[0] ?? '']
  if (rule === undefined || words.length < rule.leastWords) return
  try {
    await rule.run(zk, words, io)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    io.err(`${error.message}\n`)
  }
}
