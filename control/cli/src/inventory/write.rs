//! Writes a sheet as CSV: RFC 4180, lines end with CR LF, no cell begins a formula.

use std::io;

use csv::{Terminator, WriterBuilder};

use super::columns::Column;
use super::formula::guarded;
use super::sheet::Row;

/// The header row and the rows. With `bom` some spreadsheet programs take it for what it is: UTF-8.
///
/// # Errors
/// None, as it is written to memory.
pub(crate) fn csv(rows: &[Row], bom: bool) -> io::Result<Vec<u8>> {
    let start = if bom { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(start);
    writer.write_record(Column::ALL.map(Column::heading))?;
    for row in rows {
        writer.write_record(Column::ALL.map(|column| guarded(row.get(column))))?;
    }
    writer.into_inner().map_err(csv::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;

    fn reread(bytes: &[u8]) -> Vec<Row> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        std::fs::write(&file, bytes).unwrap();
        read(&file).unwrap().unwrap().rows
    }

    #[test]
    fn what_is_written_reads_back_with_and_without_a_bom() {
        let mut row = Row::example();
        row.set(Column::Notes, "=cmd|' /C calc'!A0, \"ä\"\nsecond");
        row.set(Column::HeaderVendor, "@SUM(A1)");
        row.set(Column::Location, "'=1");
        for bom in [false, true] {
            let bytes = csv(std::slice::from_ref(&row), bom).unwrap();
            assert_eq!(bytes.starts_with("\u{feff}".as_bytes()), bom);
            let text = String::from_utf8(bytes.clone()).unwrap();
            assert!(text.contains("\"'=cmd|") && text.contains(",'@SUM(A1),") && text.ends_with("\r\n"), "{text}");
            let read = reread(&bytes);
            for column in Column::ALL {
                assert_eq!(read[0].get(column), row.get(column), "{}", column.heading());
            }
        }
    }

    #[test]
    fn what_is_not_utf_8_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        std::fs::write(&file, b"\xff\xfen\0a\0").unwrap();
        let told = read(&file).unwrap_err();
        assert_eq!(told.exit_status(), 2);
        assert!(told.to_string().contains("is not UTF-8 (save it as CSV in UTF-8"), "{told}");
    }
}
