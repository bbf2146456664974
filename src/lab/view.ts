/** How the local cluster is shown: a block that is redrawn in a terminal, plain lines elsewhere. */
import { type ClusterSnapshot, leadersOf, underReplicated } from './snapshot.ts'

export interface ViewState {
  readonly connect: string
  readonly zookeeper: string
  /** The last line: where the data is, how to end. */
  readonly footer: string
  readonly brokerIds: readonly number[]
  /** Why the process of a broker ended. */
  readonly ended: ReadonlyMap<number, string>
  readonly snapshot: ClusterSnapshot
  readonly events: readonly { readonly at: string; readonly text: string }[]
}

function brokerLine(state: ViewState, id: number, leaders: ReadonlyMap<number, number>): string {
  const { snapshot, ended } = state
  const up = snapshot.brokers.includes(id)
  const how = ended.has(id) ? `down (${ended.get(id)})` : up ? 'up' : 'not registered'
  const controller = snapshot.controller === id ? `controller, epoch ${snapshot.controllerEpoch}` : ''
  return `  broker ${String(id).padEnd(4)} ${how.padEnd(18)} leads ${String(leaders.get(id) ?? 0).padEnd(6)} ${controller}`.trimEnd()
}

/** The lines of the live view. */
export function renderView(state: ViewState): string[] {
  const { snapshot } = state
  const leaders = leadersOf(snapshot)
  const leaderless = [...snapshot.partitions.values()].filter((partition) => partition.leader < 0).length
  const others = snapshot.brokers.filter((id) => !state.brokerIds.includes(id))
  return [
    `Samsa  brokers ${state.connect}  ZooKeeper ${state.zookeeper}`,
    '',
    ...[...state.brokerIds, ...others].map((id) => brokerLine(state, id, leaders)),
    snapshot.controller === undefined ? '  no controller' : '',
    `  topics ${snapshot.topics}  partitions ${snapshot.partitions.size}  under-replicated ${underReplicated(snapshot)}  without leader ${leaderless}`,
    '',
    ...state.events.slice(-8).map((event) => `  ${event.at}  ${event.text}`),
    '',
    `  ${state.footer}`,
  ]
}

export interface Screen {
  /** Shows the state; in a terminal the former picture is replaced. */
  show(lines: readonly string[]): void
  /** A line that stays. */
  say(line: string): void
}

export function terminalScreen(out: NodeJS.WriteStream): Screen {
  let drawn = 0
  const erase = (): string => (drawn === 0 ? '' : `\x1b[${drawn}A\x1b[J`)
  return {
    show(lines) {
      const width = out.columns ?? 80
      const cut = lines.map((line) => (line.length > width ? line.slice(0, width - 1) : line))
      out.write(`${erase()}${cut.join('\n')}\n`)
      drawn = cut.length
    },
    say(line) {
      out.write(`${erase()}${line}\n`)
      drawn = 0
    },
  }
}

/** For files and pipes: only what stays. */
export function plainScreen(out: NodeJS.WritableStream): Screen {
  return { show() {}, say: (line) => void out.write(`${line}\n`) }
}
