/**
 * A peer's address as a JVM prints it (`client_host` of group members): `/127.0.0.1`, and IPv6 as eight groups without leading zeros and
 * without `::`, e.g. `/0:0:0:0:0:0:0:1`.
 */
export function javaAddress(address: string): string {
  if (!address.includes(':')) return `/${address}`
  const [plain = '', zone] = address.split('%')
  const [head = '', tail] = plain.split('::')
  const groupsOf = (part: string): string[] => (part === '' ? [] : part.split(':').map((group) => group.replace(/^0+(?=.)/, '')))
  const before = groupsOf(head)
  const after = groupsOf(tail ?? '')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length)
  const groups = [...before, ...Array.from({ length: zeros }, () => '0'), ...after]
  return `/${groups.join(':')}${zone === undefined ? '' : `%${zone}`}`
}
