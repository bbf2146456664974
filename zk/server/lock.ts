import fs from 'node:fs'
import path from 'node:path'

/**
 * Claims a data directory for this process: two servers writing one log would destroy it. Answers how to let go. A lock whose owner is
 * gone is taken over; "gone" means that no process has its number, or that one has which started at another time.
 */
export function acquireLock(dir: string): () => void {
  fs.mkdirSync(dir, { recursive: true })
  const file = path.join(dir, 'server.lock')
  const mine = describe(process.pid)
  for (let attempt = 0; ; attempt++) {
    try {
      fs.writeFileSync(file, mine, { flag: 'wx' })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt === 3) throw error
    }
    const owner = read(file)
    if (owner !== null && isAlive(owner)) {
      throw new Error(`data directory ${dir} is in use by another ZooKeeper server, process ${owner.split(' ')[0]}`)
    }
    fs.rmSync(file, { force: true })
  }
  return () => {
    if (read(file) === mine) fs.rmSync(file, { force: true })
  }
}

function read(file: string): string | null {
  try {
    return fs.readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

function describe(pid: number): string {
  return `${pid} ${startTime(pid)}`
}

function isAlive(owner: string): boolean {
  const pid = Number(owner.split(' ')[0])
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return describe(pid) === owner
}

/** Ticks since boot at which a process began, where the system tells; otherwise the number alone must do. */
function startTime(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '-'
  } catch {
    return '-'
  }
}
