import { readdir, readFile, readlink } from 'node:fs/promises'
import { readIpAddress } from '../../../model/match/ip-address.ts'

/** One end of a TCP connection. */
export interface SocketEnd {
  readonly address: string
  readonly port: number
}

/** Processes of a workload that are looked at. A tree that is larger is not searched further, and its calls are refused. */
const MAX_PROCESSES = 512

/** Threads of one process that are asked for its children. */
const MAX_THREADS = 512

/** Descriptors that one search looks at, over all processes. */
const MAX_DESCRIPTORS = 16_384

/** Callers that wait for a search at once; those beyond are refused. */
export const MAX_WAITING = 1_024

/** Whether the operating system tells whose a socket is. */
export const KNOWS_PROCESSES = process.platform === 'linux'

interface Question {
  readonly rootPid: number
  readonly theirs: SocketEnd
  readonly ours: SocketEnd
  answer(isOfTree: boolean): void
}

/**
 * Tells whether a connection was made by a process of a workload, as /proc tells it (T33, T35). Linux only.
 *
 * A search costs thousands of reads, and whoever is refused may try again at once: there is one search at a time, for all
 * that came since the last one began, and a bound on how many wait for it.
 */
export class ProcessTrees {
  #waiting: Question[] = []
  #isSearching = false
  #searches = 0

  /** Searches so far. */
  get searches(): number {
    return this.#searches
  }

  /**
   * Whether the connection between `theirs` and `ours` belongs to the tree under `rootPid`. What cannot be read, or is
   * too much to look at, does not.
   */
  contains(rootPid: number, theirs: SocketEnd, ours: SocketEnd): Promise<boolean> {
    if (this.#waiting.length >= MAX_WAITING) return Promise.resolve(false)
    const answered = new Promise<boolean>((answer) => this.#waiting.push({ rootPid, theirs, ours, answer }))
    if (!this.#isSearching) void this.#searchAll()
    return answered
  }

  async #searchAll(): Promise<void> {
    this.#isSearching = true
    while (this.#waiting.length > 0) {
      const questions = this.#waiting
      this.#waiting = []
      this.#searches += 1
      const found = await search(questions).catch(() => NOBODY)
      for (const question of questions) question.answer(found.has(question))
    }
    this.#isSearching = false
  }
}

const NOBODY: ReadonlySet<Question> = new Set()

/** Those of the questions to which the answer is yes. */
async function search(questions: readonly Question[]): Promise<ReadonlySet<Question>> {
  const found = new Set<Question>()
  const byLink = new Map<string, Question[]>()
  const [tcp, tcp6] = await Promise.all(['tcp', 'tcp6'].map((name) => read(`/proc/net/${name}`)))
  for (const question of questions) {
    const { theirs, ours } = question
    const inode = inodeIn(tcp!, theirs, ours, false) ?? inodeIn(tcp6!, theirs, ours, true)
    if (inode === undefined) continue
    const link = `socket:[${inode}]`
    byLink.set(link, [...(byLink.get(link) ?? []), question])
  }
  const budget = { left: MAX_DESCRIPTORS }
  for (const rootPid of new Set([...byLink.values()].flat().map((question) => question.rootPid))) {
    for (const pid of await treeOf(rootPid)) {
      await markHeld(pid, budget, (link) => {
        for (const question of byLink.get(link) ?? []) if (question.rootPid === rootPid) found.add(question)
      })
    }
  }
  return found
}

/** The inode of the socket whose local end is `local` and whose remote end is `remote`. */
function inodeIn(table: string, local: SocketEnd, remote: SocketEnd, isV6: boolean): string | undefined {
  const ends = [local, remote].map((end) => hexOf(end, isV6))
  if (ends.includes(undefined)) return undefined
  const at = table.indexOf(` ${ends.join(' ')} `)
  if (at === -1) return undefined
  const lineEnd = table.indexOf('\n', at)
  // sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode
  return table
    .slice(at, lineEnd === -1 ? undefined : lineEnd)
    .trim()
    .split(/\s+/)[8]
}

/** As the kernel prints it: 32-bit words in the machine's own byte order, which is little-endian wherever Node runs; the port as a number. */
function hexOf({ address, port }: SocketEnd, isV6: boolean): string | undefined {
  const parsed = readIpAddress(address)
  if (parsed === undefined || (!isV6 && parsed.version === 6)) return undefined
  const words = isV6 && parsed.version === 4 ? [0, 0, 0xffff, ...parsed.words] : parsed.words
  const swapped = words.map((word) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(word)
    return hexadecimal(bytes.readUInt32LE(), 8)
  })
  return `${swapped.join('')}:${hexadecimal(port, 4)}`
}

function hexadecimal(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}

async function treeOf(rootPid: number): Promise<readonly number[]> {
  const tree = [rootPid]
  for (let at = 0; at < tree.length && tree.length < MAX_PROCESSES; at++) {
    tree.push(...(await childrenOf(tree[at]!)))
  }
  return tree.slice(0, MAX_PROCESSES)
}

async function childrenOf(pid: number): Promise<readonly number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => [])
  const children: number[] = []
  for (const thread of threads.slice(0, MAX_THREADS)) {
    const text = await read(`/proc/${pid}/task/${thread}/children`)
    for (const child of text.split(' ')) if (child !== '') children.push(Number(child))
  }
  return children
}

async function markHeld(pid: number, budget: { left: number }, mark: (link: string) => void): Promise<void> {
  const directory = `/proc/${pid}/fd`
  const descriptors = await readdir(directory).catch(() => [])
  for (const descriptor of descriptors) {
    if (budget.left === 0) return
    budget.left -= 1
    mark(await readlink(`${directory}/${descriptor}`).catch(() => ''))
  }
}

function read(file: string): Promise<string> {
  return readFile(file, 'latin1').catch(() => '')
}
