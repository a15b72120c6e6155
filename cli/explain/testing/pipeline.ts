import assert from 'node:assert/strict'
import { createValidator } from '../../../operator/schema/validator.ts'
import { readResourceFile } from '../../../operator/sources/resource-file.ts'
import { snapshotOf } from '../../../operator/store/snapshot.ts'
import { translate } from '../../../operator/translate/translate.ts'
import { SECTIONS } from '../../../policies/sections.ts'
import { openssl } from '../../../runtime/crypto/openssl.ts'
import { compile } from '../../../sidecar/compile/compile.ts'
import type { Pipeline } from '../../../sidecar/compile/pipeline.ts'
import { OFFLINE } from '../../file-mesh.ts'

const validate = createValidator(SECTIONS)

/** The pipeline of one workload of some YAML that has no mistakes. */
export function pipelineOf(yaml: string, workload: string): Pipeline {
  const { resources, issues } = readResourceFile('test.yaml', yaml, validate, SECTIONS)
  assert.deepEqual(issues, [])
  const snapshot = snapshotOf(resources.map(({ resource }) => resource))
  const { configs } = translate(snapshot, { sha256: openssl.sha256, mesh: { roots: [] } })
  const config = [...configs.values()].find((each) => each.workload === workload)
  assert.ok(config, workload)
  const compiled = compile(config, undefined, OFFLINE)
  assert.ok(compiled.ok)
  return compiled.value
}
