"""Write the large data set: `rows file.parquet file.csv`."""

import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from common import large_data

rows, parquet, csv = sys.argv[1:]
table = pa.table(large_data(int(rows)))
pa.parquet.write_table(table, parquet)
pa.csv.write_csv(table, csv)
