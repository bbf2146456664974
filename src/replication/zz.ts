import { sweep } from './testing-sweep.ts'
const [a, b, ...faithful] = process.argv.slice(2)
const t = { seeds: 0, acked: 0, changes: 0, kills: 0, bad: 0 }
for (let seed = Number(a); seed <= Number(b); seed++) {
  const r = await sweep(seed, faithful)
  t.seeds++; t.acked += r.acked; t.changes += r.leaderChanges; t.kills += r.kills
  if (r.violations.length) { t.bad++; console.log(seed, r.violations) }
}
console.log(faithful, t)
