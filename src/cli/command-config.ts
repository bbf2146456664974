import { parseProperties } from '../base/properties.ts'
import { readTextFile, ToolError } from './tool.ts'

/** Throws `ToolError` when the file asks for a security protocol: the tools that ask brokers themselves speak PLAINTEXT only. */
export function demandPlaintext(path: string): void {
  const protocol = parseProperties(readTextFile(path)).get('security.protocol') ?? 'PLAINTEXT'
  if (protocol !== 'PLAINTEXT') {
    throw new ToolError(
      'org.apache.kafka.common.config.ConfigException',
      `Invalid value ${protocol} for configuration security.protocol: this tool speaks PLAINTEXT only`,
    )
  }
}
