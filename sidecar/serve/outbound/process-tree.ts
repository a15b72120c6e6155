import { readdir, readFile, readlink } from 'node:fs/promises'
import { formatIpAddress, readIpAddress } from '../../../model/match/ip-address.ts'

/** One end of a TCP connection. */
export interface SocketEnd {
  readonly address: string
  readonly port: number
}

/** Processes of a workload that are looked at. A tree that is larger is not searched further, and its calls are refused. */
const MAX_PROCESSES = 512

/** Descriptors of one process that are looked at. */
const MAX_DESCRIPTORS = 4_096

/** Whether the operating system tells whose a socket is. */
export const KNOWS_PROCESSES = process.platform === 'linux'

/**
 * Whether the connection between `theirs` and `ours` was made by a process of the tree under `rootPid`, as /proc tells it
 * (T33, T35). Linux only. What cannot be read is not theirs.
 */
export async function belongsToTree(rootPid: number, theirs: SocketEnd, ours: SocketEnd): Promise<boolean> {
  const inode = await inodeOf(theirs, ours)
  if (inode === undefined) return false
  const wanted = `socket:[${inode}]`
  for (const pid of await treeOf(rootPid)) {
    if (await holds(pid, wanted)) return true
  }
  return false
}

/** The inode of the socket whose local end is `local` and whose remote end is `remote`. */
async function inodeOf(local: SocketEnd, remote: SocketEnd): Promise<string | undefined> {
  const wantedLocal = keyOf(local)
  const wantedRemote = keyOf(remote)
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(file, 'latin1').catch(() => '')
    for (const line of text.split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/)
      const [, localHex = '', remoteHex = ''] = fields
      if (endKey(localHex) === wantedLocal && endKey(remoteHex) === wantedRemote) return fields[9]
    }
  }
  return undefined
}

function keyOf({ address, port }: SocketEnd): string | undefined {
  const parsed = readIpAddress(address)
  return parsed === undefined ? undefined : `${formatIpAddress(parsed)} ${port}`
}

/** The kernel prints an address as 32-bit words, each in the machine's own byte order, and the port as a number. */
function endKey(text: string): string {
  const [hex = '', port = ''] = text.split(':')
  const words = (hex.match(/.{8}/g) ?? []).map((word) => Buffer.from(word, 'hex').readUInt32LE())
  const isMapped = words.length === 4 && words[0] === 0 && words[1] === 0 && words[2] === 0xffff
  const address =
    words.length === 1 || isMapped
      ? formatIpAddress({ version: 4, words: words.slice(-1) })
      : formatIpAddress({ version: 6, words })
  return `${address} ${Number.parseInt(port, 16)}`
}

async function treeOf(rootPid: number): Promise<readonly number[]> {
  const children = await childrenByParent()
  const tree = [rootPid]
  for (let at = 0; at < tree.length && tree.length < MAX_PROCESSES; at++) {
    tree.push(...(children.get(tree[at]!) ?? []))
  }
  return tree.slice(0, MAX_PROCESSES)
}

async function childrenByParent(): Promise<ReadonlyMap<number, readonly number[]>> {
  const children = new Map<number, number[]>()
  const names = await readdir('/proc').catch(() => [])
  await Promise.all(
    names
      .filter((name) => /^[0-9]+$/.test(name))
      .map(async (name) => {
        const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '')
        // The name of the command stands in parentheses, and may hold anything.
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
        if (!Number.isInteger(parent)) return
        const siblings = children.get(parent) ?? []
        children.set(parent, siblings)
        siblings.push(Number(name))
      }),
  )
  return children
}

async function holds(pid: number, wanted: string): Promise<boolean> {
  const directory = `/proc/${pid}/fd`
  const descriptors = await readdir(directory).catch(() => [])
  for (const descriptor of descriptors.slice(0, MAX_DESCRIPTORS)) {
    const link = await readlink(`${directory}/${descriptor}`).catch(() => '')
    if (link === wanted) return true
  }
  return false
}
