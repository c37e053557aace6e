import { readdir, readFile } from 'node:fs/promises'

/** Clock ticks a second in /proc; Linux has shown 100 to user space since 2.6. */
const TICKS_PER_SECOND = 100

/** `pid` and every process below it that lives now. Linux only. */
export async function processTree(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
  const children = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  )
  const below = await Promise.all(
    children
      .flatMap((list) => list.trim().split(' '))
      .filter(Boolean)
      .map(Number)
      .map(processTree),
  )
  return [pid, ...below.flat()]
}

/** The name of the program that a process runs, as the kernel shortens it. */
export async function programOf(pid: number): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim()
}

/** User and system CPU microseconds of a process and of its children that ended. */
export async function cpuMicros(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // Behind the name in parentheses, which may hold anything, the third field of the man page is the first.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + (Number(ticks) * 1_000_000) / TICKS_PER_SECOND, 0)
}

/** Proportional set size in bytes: shared pages count once over all processes that map them. */
export async function proportionalSetSize(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024
}

/** The sum of one figure over several processes. */
export async function sumOver(pids: readonly number[], figure: (pid: number) => Promise<number>): Promise<number> {
  return (await Promise.all(pids.map(figure))).reduce((sum, value) => sum + value, 0)
}
