/**
 * The fault matrix over real processes. Without cells: all of them (about half an hour), one after the other.
 *
 *     node build/integration-tests/faults/matrix.js [--list] [--keep DIR] [--set key=value]... [--break RULE]... [ROW[/TARGET]]...
 *
 * One line per cell: what was broken, records acknowledged before the fault and in all, the longest time in which one partition acknowledged
 * nothing, the verdict. `--keep` keeps logs and timeline of cells that fail; `--set` changes `server.properties` and `--break` a client
 * (`src/sim/canaries.ts`), to see that a checker notices. Exit code 1: a cell failed.
 */
import type { Breakage } from '../../src/sim/canaries.ts'
import { allCells, type CellName, type CellOptions, cellsOf, line, runCell } from './matrix-cell.ts'

interface Arguments extends CellOptions {
  readonly cells: readonly CellName[]
  readonly isList: boolean
}

function parse(words: readonly string[]): Arguments {
  const properties: Record<string, string> = {}
  const breaks: Breakage[] = []
  const cells: CellName[] = []
  let keep: string | undefined
  let isList = false
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    if (word === '--list') isList = true
    else if (word === '--keep') keep = words[++i]
    else if (word === '--break') breaks.push(words[++i] as Breakage)
    else if (word === '--set') {
      const setting = words[++i] ?? ''
      const at = setting.indexOf('=')
      if (at <= 0) throw new Error(`--set ${setting}: key=value was expected`)
      properties[setting.slice(0, at)] = setting.slice(at + 1)
    } else cells.push(...cellsOf(word))
  }
  return { properties, breaks, isList, cells: cells.length > 0 ? cells : allCells(), ...(keep === undefined ? {} : { keep }) }
}

const { cells, isList, ...options } = parse(process.argv.slice(2))
let failed = 0
for (const cell of cells) {
  if (isList) {
    process.stdout.write(`${cell.row.name}/${cell.target}\n`)
    continue
  }
  const result = await runCell(cell, options)
  if (result.violations.length > 0) failed++
  process.stdout.write(`${line(result)}\n`)
}
if (!isList) process.stdout.write(`${cells.length - failed} of ${cells.length} cells clean\n`)
process.exitCode = failed === 0 ? 0 : 1
