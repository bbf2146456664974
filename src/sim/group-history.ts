import type { Surroundings } from './history.ts'

interface Commits {
  /** Highest acknowledged offset. */
  acked: number
  /** Generation of the newest acknowledged commit. */
  generation: string
  /** Offsets of commits of that generation whose outcome nobody knows: one may still be applied after a later one. */
  unclear: number[]
}

/** What members of groups were told: who owned what (G12), and that offsets do not go back (G13). */
export class GroupHistory {
  readonly #world: Surroundings
  readonly #owners = new Map<string, string>()
  readonly #generations = new Map<string, number>()
  readonly #commits = new Map<string, Commits>()

  constructor(world: Surroundings) {
    this.#world = world
  }

  /** A generation is known by its number and its leader, whose member id is unique. */
  owns(group: string, generation: number, leader: string, member: string, partitions: readonly number[]): void {
    this.#world.trace.add(member.slice(0, 12), 'owns', { generation, partitions })
    for (const partition of partitions) {
      const key = `${group} ${generation}/${leader} ${partition}`
      const owner = this.#owners.get(key)
      if (owner !== undefined && owner !== member)
        this.#world.violation('one-owner', `${group} generation ${generation} partition ${partition}: ${owner} and ${member}`)
      this.#owners.set(key, member)
    }
    if (this.isPast(member, generation))
      this.#world.violation('generation-rises', `${group} ${member}: ${this.#generations.get(member)} -> ${generation}`)
    this.#generations.set(member, generation)
  }

  /** Was the member in a later generation already? */
  isPast(member: string, generation: number): boolean {
    return generation < (this.#generations.get(member) ?? -1)
  }

  /** Below this a read that begins now must not fall. */
  floor(group: string, partition: string): number {
    const commits = this.#commits.get(`${group} ${partition}`)
    return commits === undefined ? 0 : Math.min(commits.acked, ...commits.unclear)
  }

  /** Is it below what was committed when the fetch began, `floor`, and still is? */
  isBehind(group: string, partition: string, offset: number, floor: number): boolean {
    return offset < Math.min(floor, this.floor(group, partition))
  }

  fetched(group: string, partition: string, offset: number, floor: number): void {
    if (this.isBehind(group, partition, offset, floor))
      this.#world.violation('offsets-stay', `${group} ${partition}: ${offset} was fetched after ${floor} was committed`)
  }

  committed(group: string, partition: string, generation: string, offset: number): void {
    const commits = this.#of(group, partition, generation)
    commits.acked = Math.max(commits.acked, offset)
  }

  unclear(group: string, partition: string, generation: string, offset: number): void {
    this.#of(group, partition, generation).unclear.push(offset)
  }

  #of(group: string, partition: string, generation: string): Commits {
    const key = `${group} ${partition}`
    let commits = this.#commits.get(key)
    if (commits === undefined) this.#commits.set(key, (commits = { acked: 0, generation, unclear: [] }))
    if (commits.generation !== generation) {
      // Nothing of an older generation is accepted any more.
      commits.generation = generation
      commits.unclear = []
    }
    return commits
  }
}
