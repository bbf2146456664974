import type { Acl, Stat } from '../../../zk/client/types.ts'

/** In the order in which 3.4 lists them. */
export const USAGE = `ZooKeeper -server host:port cmd args
\tstat path [watch]
\tset path data [version]
\tls path [watch]
\tdelquota [-n|-b] path
\tls2 path [watch]
\tsetAcl path acl
\tsetquota -n|-b val path
\thistory 
\tredo cmdno
\tprintwatches on|off
\tdelete path [version]
\tsync path
\tlistquota path
\trmr path
\tget path [watch]
\tcreate [-s] [-e] path data acl
\taddauth scheme auth
\tquit 
\tgetAcl path
\tclose 
\tconnect host:port
`

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `Sat Nov 21 11:13:32 UTC 2026`, in local time as Java prints a date. */
export function dateText(epochMillis: number): string {
  const date = new Date(epochMillis)
  const zone = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' })
    .formatToParts(date)
    .find(({ type }) => type === 'timeZoneName')?.value
  const [hours, minutes, seconds] = [date.getHours(), date.getMinutes(), date.getSeconds()].map((n) => String(n).padStart(2, '0'))
  const day = String(date.getDate()).padStart(2, '0')
  return `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${day} ${hours}:${minutes}:${seconds} ${zone} ${date.getFullYear()}`
}

const hex = (value: bigint): string => `0x${BigInt.asUintN(64, value).toString(16)}`

export function statText(stat: Stat): string {
  return `cZxid = ${hex(stat.czxid)}
ctime = ${dateText(stat.ctime)}
mZxid = ${hex(stat.mzxid)}
mtime = ${dateText(stat.mtime)}
pZxid = ${hex(stat.pzxid)}
cversion = ${stat.cversion}
dataVersion = ${stat.version}
aclVersion = ${stat.aversion}
ephemeralOwner = ${hex(stat.ephemeralOwner)}
dataLength = ${stat.dataLength}
numChildren = ${stat.numChildren}
`
}

/** Letter of each permission bit, lowest first, in the order in which they are printed. */
const PERMISSIONS = [
  ['c', 4],
  ['d', 8],
  ['r', 1],
  ['w', 2],
  ['a', 16],
] as const

export function aclText({ perms, scheme, id }: Acl): string {
  const letters = PERMISSIONS.filter(([, bit]) => (perms & bit) !== 0).map(([letter]) => letter)
  return `'${scheme},'${id}\n: ${letters.join('')}\n`
}

/** `world:anyone:cdrwa,digest:user:hash:r`; entries that are none are told to `onBad` and left out. */
export function parseAcl(text: string, onBad: (entry: string) => void): Acl[] {
  return text.split(',').flatMap((entry) => {
    const first = entry.indexOf(':')
    const last = entry.lastIndexOf(':')
    if (first === -1 || last === -1 || first === last) {
      onBad(entry)
      return []
    }
    const perms = [...entry.slice(last + 1)].reduce((bits, letter) => {
      const found = PERMISSIONS.find(([known]) => known === letter)
      return found === undefined ? bits : bits | found[1]
    }, 0)
    return [{ perms, scheme: entry.slice(0, first), id: entry.slice(first + 1, last) }]
  })
}
