import { parentPort, workerData } from 'node:worker_threads'
import { runWorker } from './worker.ts'

/** The program of a worker's thread. */
if (parentPort !== null) await runWorker(parentPort, workerData)
