import { Sweep } from './testing-sweep.ts'
import { Bench } from './testing-bench.ts'
const seed = Number(process.argv[2])
const bench = await Bench.start({ seed, delay: (rng) => 0.5 + rng.next() * (rng.next() < 0.02 ? 300 : 3) })
;(globalThis as any).TRACE = (...a: unknown[]) => console.log(Math.round(bench.clock.now()), ...a)
const r = await new Sweep(bench, 2).run()
console.log(r)

console.log((bench.zk.history.get('t-1')??[]).slice(-12).map(s=>JSON.stringify(s)).join('\n'))
for (const id of [1,2,3]) { console.log('broker', id); console.log(bench.logLines(id).filter(l => l.includes('t-1') && !l.includes('ignored')).slice(-45).join('\n')) }
