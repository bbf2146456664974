import type { PartitionAssignor } from '../types.ts'
import { RangeAssignor } from './range.ts'
import { RoundRobinAssignor } from './round-robin.ts'
import { StickyAssignor } from './sticky.ts'

export { RangeAssignor, RoundRobinAssignor, StickyAssignor }

/** The value of partition.assignment.strategy (its names checked; text: names with commas) to assignors, one object each per member. */
export function assignorsOf(given: readonly (PartitionAssignor | string)[] | string): PartitionAssignor[] {
  const all = typeof given === 'string' ? given.split(',').map((name) => name.trim()) : given
  return all.map((one) => (typeof one === 'string' ? assignorNamed(one) : one))
}

/** `range`, `RangeAssignor` or a Java class name. */
function assignorNamed(name: string): PartitionAssignor {
  switch (name.slice(name.lastIndexOf('.') + 1)) {
    case 'roundrobin':
    case 'RoundRobinAssignor':
      return new RoundRobinAssignor()
    case 'sticky':
    case 'StickyAssignor':
      return new StickyAssignor()
    default:
      return new RangeAssignor()
  }
}
