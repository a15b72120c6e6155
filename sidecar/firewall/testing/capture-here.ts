import { openOriginalDestination } from '../../capture/original-destination.ts'
import { captureTraffic } from '../capture.ts'
import { type VerifyOptions, verifyCapture } from '../verify.ts'

/** The init role in this network namespace, as its container runs it; `verify` alone leaves the rules as they are. */
const [mode = '', json = ''] = process.argv.slice(2)
const given = JSON.parse(json) as Pick<VerifyOptions, 'podIps' | 'exclude'>
const options: VerifyOptions = { ...given, originalDestination: openOriginalDestination() }
if (mode === 'verify') {
  const faults = await verifyCapture(options)
  console.log(faults.join('\n'))
} else {
  process.exitCode = await captureTraffic(options, (sentence) => console.log(sentence))
}
