/** `zookeeper-shell.sh host:port[/chroot] [command]`: the shell of ZooKeeper 3.4, for one command or for lines from standard input. */
import { createInterface } from 'node:readline'
import { printUncaught, ToolError } from './tool.ts'
import { runServerCommand, serverCommands } from './zookeeper-shell/commands.ts'
import { ShellConnection } from './zookeeper-shell/connection.ts'
import { USAGE } from './zookeeper-shell/text.ts'

const DEFAULT_SERVER = 'localhost:2181'
const HISTORY_SHOWN = 10

const io = {
  out: (text: string): void => void process.stdout.write(text),
  err: (text: string): void => void process.stderr.write(text),
}

class Shell {
  #server: string
  #connection: ShellConnection | undefined
  readonly #auth: { scheme: string; credentials: string }[] = []
  readonly #history: string[] = []
  #printWatches = true
  isOver = false

  constructor(server: string) {
    this.#server = server
    this.#connect()
  }

  #connect(): void {
    io.out(`Connecting to ${this.#server}\n`)
    this.#connection = this.#open()
  }

  #open(): ShellConnection {
    return new ShellConnection(this.#server, this.#auth, (event) => {
      if (this.#printWatches) io.out(`\nWATCHER::\n\nWatchedEvent ${event}\n`)
    })
  }

  get prompt(): string {
    return `[zk: ${this.#server} ${this.#history.length}] `
  }

  /** One line of input. */
  async line(text: string): Promise<void> {
    if (text.trim() === '') return
    this.#history.push(text)
    await this.run(text.split(' ').filter((word) => word !== ''))
  }

  async run(words: readonly string[]): Promise<void> {
    const [command = '', argument] = words
    if (Object.hasOwn(serverCommands, command)) {
      if (this.#connection === undefined) io.out('Not connected\n')
      else await runServerCommand(this.#connection, words, io)
      return
    }
    switch (command) {
      case 'quit':
        io.out('Quitting...\n')
        this.isOver = true
        return
      case 'close':
        return this.close()
      case 'connect':
        await this.close()
        this.#server = argument ?? this.#server
        return this.#connect()
      case 'addauth':
        return this.#addAuth(argument, words[2] ?? '')
      case 'printwatches':
        if (argument === undefined) io.out(`printwatches is ${this.#printWatches ? 'on' : 'off'}\n`)
        else this.#printWatches = argument === 'on'
        return
      case 'history':
        return this.#printHistory()
      case 'redo':
        return this.#redo(argument)
      default:
        io.err(USAGE)
    }
  }

  /** A session authenticates when it begins: another one takes its place. */
  async #addAuth(scheme: string | undefined, credentials: string): Promise<void> {
    if (scheme === undefined) return
    this.#auth.push({ scheme, credentials })
    if (this.#connection === undefined) return
    await this.close()
    this.#connection = this.#open()
  }

  #printHistory(): void {
    const last = this.#history.length - 1
    for (let i = Math.max(0, last - HISTORY_SHOWN); i <= last; i++) io.out(`${i} - ${this.#history[i]}\n`)
  }

  async #redo(argument: string | undefined): Promise<void> {
    const index = Number(argument)
    const line = Number.isInteger(index) && index < this.#history.length - 1 ? this.#history[index] : undefined
    if (line === undefined) return io.out('Command index out of range\n')
    if (line.startsWith('redo')) return io.out('No redoing redos\n')
    this.#history[this.#history.length - 1] = line
    await this.run(line.split(' ').filter((word) => word !== ''))
  }

  async close(): Promise<void> {
    await this.#connection?.close()
    this.#connection = undefined
  }
}

interface Arguments {
  readonly server: string
  /** Empty: lines come from standard input. */
  readonly command: readonly string[]
}

function parseArguments(args: readonly string[]): Arguments {
  let server = DEFAULT_SERVER
  let at = 0
  for (; at < args.length; at++) {
    const word = args[at] ?? ''
    if (word === '-server' && at + 1 < args.length) server = args[++at] ?? server
    else if (word === '-timeout') at++
    else if (word !== '-r') break
  }
  return { server, command: args.slice(at) }
}

async function interact(shell: Shell): Promise<void> {
  io.out('Welcome to ZooKeeper!\nJLine support is disabled\n')
  const isTerminal = process.stdin.isTTY === true
  const lines = createInterface({ input: process.stdin, ...(isTerminal && { output: process.stdout }) })
  const ask = (): void => {
    if (!isTerminal) return
    lines.setPrompt(shell.prompt)
    lines.prompt()
  }
  ask()
  for await (const line of lines) {
    await shell.line(line)
    if (shell.isOver) break
    ask()
  }
  lines.close()
}

/** Answers the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const { server, command } = parseArguments(args)
  const shell = new Shell(server)
  try {
    if (command.length > 0) await shell.run(command)
    else await interact(shell)
    return 0
  } catch (error) {
    if (!(error instanceof ToolError)) throw error
    return printUncaught(error.name, error.message)
  } finally {
    await shell.close()
  }
}
