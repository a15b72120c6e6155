export { isSame, keepSame } from '../../model/same.ts'
