import { readdir, readFile } from 'node:fs/promises'

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

/** CPU microseconds of the threads of a process that live now. The scheduler counts them in nanoseconds, `stat` in steps of 10 ms. */
export async function cpuMicros(pid: number): Promise<number> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
  const texts = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/schedstat`, 'utf8').catch(() => '0')),
  )
  return texts.reduce((sum, text) => sum + Number(text.split(' ')[0]) / 1_000, 0)
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
