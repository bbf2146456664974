import type { PartitionEntry } from './context.ts'
import { readStates } from './state-reads.ts'
import { mustDelete, type Term } from './term.ts'

/** Leaders changed ISRs: the controller reads them and tells every broker's metadata. Replicas are told nothing. */
export async function isrChangeNotification(term: Term): Promise<void> {
  const { ctx, zk } = term
  const names = await zk.getIsrChangeNotifications()
  if (names.length === 0) return
  const changed = new Set<PartitionEntry>()
  for (const { topic, partition } of await zk.readIsrChangeNotifications(names)) {
    const entry = ctx.partition(topic, partition)
    if (entry) changed.add(entry)
  }
  await readStates(term, [...changed], (entry, state) => {
    if (!state) return
    const old = entry.leadership
    entry.leadership = state
    if (old && old.isr.length !== state.isr.length) {
      term.note(
        old.isr.length > state.isr.length ? 'IsrShrunk' : 'IsrExpanded',
        `${entry.key}: [${state.isr.join(',')}] by leader ${state.leader}`,
      )
    }
  })
  if (changed.size > 0) {
    term.batch.addMetadata(changed)
    await term.batch.flush()
  }
  await mustDelete('deleting ISR changes', () => zk.deleteIsrChangeNotifications(names, term.fence))
}
