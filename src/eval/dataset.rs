//! Labelled images: a folder per class, or a parquet file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

/// Maximum decompressed size of a parquet file: bytes for each byte of the file, and a constant.
const PER_BYTE: u64 = 16;
const ANYWAY: u64 = 64 << 20;

/// Maximum number of labels in an error message.
const SHOWN_LABELS: usize = 10;

/// One image and its class.
#[derive(Debug, Clone)]
pub struct Example {
    /// The bytes of the image file.
    pub bytes: Bytes,
    /// The index of its class among the model's labels.
    pub truth: usize,
}

/// A source of examples, which are counted but not read yet.
#[derive(Debug)]
pub enum Dataset {
    /// Image files, in a folder for each class.
    Folder(Vec<(PathBuf, usize)>),
    /// Rows with the bytes of an image and the index of its class.
    Parquet {
        /// The file.
        path: PathBuf,
        /// Number of rows.
        rows: usize,
    },
}

/// Data that cannot be used, with the expected format.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// Not a parquet file, or damaged.
    #[error("{} cannot be read as parquet: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The error of the reader.
        source: parquet::errors::ParquetError,
    },
    /// The columns differ from the expected ones.
    #[error(
        "row {row} of {} lacks an image or a label; expected the columns img.bytes or image.bytes (an encoded \
         image), and label (a class's index from 0, as int32 or int64)",
        path.display()
    )]
    Columns {
        /// The file.
        path: PathBuf,
        /// The row.
        row: usize,
    },
    /// A row has no image.
    #[error(
        "row {row} of {} has no image; expected the column img.bytes or image.bytes (an encoded image)",
        path.display()
    )]
    NoImage {
        /// The file.
        path: PathBuf,
        /// The row.
        row: usize,
    },
    /// A folder's name is not a label of the model.
    #[error(
        "the folder {found:?} is not a class of this model; rename it to one of its labels: {}",
        first(labels)
    )]
    UnknownClass {
        /// The folder's name.
        found: String,
        /// The model's classes.
        labels: Vec<String>,
    },
    /// The model has fewer classes.
    #[error(
        "row {row} of {} has the label {found}, but the model has {classes} classes, 0 to {}",
        path.display(),
        classes.saturating_sub(1)
    )]
    UnknownLabel {
        /// The file.
        path: PathBuf,
        /// The row.
        row: usize,
        /// The class's index.
        found: usize,
        /// The model's number of classes.
        classes: usize,
    },
    /// There are no images.
    #[error("{} contains no images; expected a parquet file, or a folder with one folder per class", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// Extensions of image files in folders; their format is detected from their content.
pub const IMAGE_EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// Whether the name is that of an image, in contrast to files that systems and people put beside images.
#[must_use]
pub fn is_image(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| {
        IMAGE_EXTENSIONS.iter().any(|known| ending.eq_ignore_ascii_case(known))
    })
}

impl Dataset {
    /// Opens a parquet file, or a folder with a folder for each of `labels`.
    ///
    /// # Errors
    ///
    /// [`DatasetError`] if it cannot be read, or contains classes that are not in `labels`.
    pub fn open(path: &Path, labels: &[String]) -> Result<Self, DatasetError> {
        if path.is_dir() {
            return Self::open_folder(path, labels);
        }
        let rows = open_parquet(path)?.metadata().file_metadata().num_rows();
        match usize::try_from(rows) {
            Ok(rows @ 1..) => Ok(Self::Parquet { path: path.to_owned(), rows }),
            Ok(0) | Err(_) => Err(DatasetError::Empty { path: path.to_owned() }),
        }
    }

    fn open_folder(path: &Path, labels: &[String]) -> Result<Self, DatasetError> {
        let mut files = Vec::new();
        for folder in list(path)?.into_iter().filter(|entry| entry.is_dir()) {
            let class = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let truth = labels.iter().position(|label| *label == class).ok_or_else(|| {
                DatasetError::UnknownClass { found: class, labels: labels.to_vec() }
            })?;
            let images =
                list(&folder)?.into_iter().filter(|entry| entry.is_file() && is_image(entry));
            files.extend(images.map(|file| (file, truth)));
        }
        if files.is_empty() {
            return Err(DatasetError::Empty { path: path.to_owned() });
        }
        Ok(Self::Folder(files))
    }

    /// Number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Folder(files) => files.len(),
            Self::Parquet { rows, .. } => *rows,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the images of a parquet file one after the other, without their classes.
    ///
    /// # Errors
    ///
    /// [`DatasetError`] if the file cannot be read.
    pub fn images(
        path: &Path,
    ) -> Result<impl Iterator<Item = Result<Bytes, DatasetError>>, DatasetError> {
        let owned = path.to_owned();
        Ok(rows(path)?.map(move |read| {
            let (row, values) = read?;
            image(&values).ok_or_else(|| DatasetError::NoImage { path: owned.clone(), row })
        }))
    }

    /// Reads the examples one after the other. Unknown classes are errors.
    ///
    /// # Errors
    ///
    /// [`DatasetError`] if a parquet file cannot be opened again.
    pub fn examples(
        self,
        labels: &[String],
    ) -> Result<Box<dyn Iterator<Item = Result<Example, DatasetError>> + '_>, DatasetError> {
        match self {
            Self::Folder(files) => Ok(Box::new(files.into_iter().map(|(path, truth)| {
                let bytes =
                    fs::read(&path).map_err(|source| DatasetError::Read { path, source })?;
                Ok(Example { bytes: bytes.into(), truth })
            }))),
            Self::Parquet { path, .. } => Ok(Box::new(rows(&path)?.map(move |read| {
                let (row, values) = read?;
                let example = example(&values)
                    .ok_or_else(|| DatasetError::Columns { path: path.clone(), row })?;
                let (found, classes) = (example.truth, labels.len());
                if found >= classes {
                    let path = path.clone();
                    return Err(DatasetError::UnknownLabel { path, row, found, classes });
                }
                Ok(example)
            }))),
        }
    }
}

/// The first labels, and the number of the others.
fn first(labels: &[String]) -> String {
    let shown = labels.iter().take(SHOWN_LABELS).map(String::as_str).collect::<Vec<_>>().join(", ");
    match labels.len().saturating_sub(SHOWN_LABELS) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let unreadable = |source| DatasetError::Read { path: folder.to_owned(), source };
    let mut entries = fs::read_dir(folder)
        .map_err(unreadable)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    entries.sort();
    Ok(entries)
}

fn open_parquet(path: &Path) -> Result<SerializedFileReader<File>, DatasetError> {
    let file =
        File::open(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
    let unreadable = |source| DatasetError::Parquet { path: path.to_owned(), source };
    let packed = file.metadata().map_or(0, |about| about.len());
    let most = packed.saturating_mul(PER_BYTE).saturating_add(ANYWAY);
    let mut pages = file.try_clone().map_err(|error| unreadable(error.into()))?;
    let reader = SerializedFileReader::new(file).map_err(unreadable)?;
    let unpacked = super::parquet_pages::decompressed_size(&mut pages, reader.metadata(), most)
        .map_err(|error| unreadable(error.into()))?;
    if unpacked > most {
        let why = format!(
            "its headers announce at least {unpacked} bytes of decompressed data, more than {PER_BYTE} times its \
             size; write the file without compression, because images are compressed already"
        );
        return Err(unreadable(parquet::errors::ParquetError::General(why)));
    }
    Ok(reader)
}

/// The rows of a parquet file, numbered from 0.
fn rows(
    path: &Path,
) -> Result<impl Iterator<Item = Result<(usize, Row), DatasetError>> + use<>, DatasetError> {
    let rows = open_parquet(path)?.into_iter().enumerate();
    let path = path.to_owned();
    Ok(rows.map(move |(row, read)| {
        let values = read.map_err(|source| DatasetError::Parquet { path: path.clone(), source })?;
        Ok((row, values))
    }))
}

/// The image of a row: in a column `img.bytes` or `image.bytes`, or in the field `bytes` of a group `img` or `image`,
/// as in published data sets.
fn image(row: &Row) -> Option<Bytes> {
    let bytes = row.get_column_iter().find_map(|(name, field)| match (name.as_str(), field) {
        ("img.bytes" | "image.bytes", Field::Bytes(image)) => Some(image),
        ("img" | "image", Field::Group(group)) => {
            let mut members = group.get_column_iter();
            match members.find(|(name, _)| *name == "bytes") {
                Some((_, Field::Bytes(image))) => Some(image),
                _ => None,
            }
        }
        _ => None,
    })?;
    Some(Bytes::copy_from_slice(bytes.data()))
}

/// The image and the class of a row.
fn example(row: &Row) -> Option<Example> {
    let truth = row.get_column_iter().find_map(|(name, field)| match (name.as_str(), field) {
        ("label", Field::Long(class)) => usize::try_from(*class).ok(),
        ("label", Field::Int(class)) => usize::try_from(*class).ok(),
        _ => None,
    })?;
    Some(Example { bytes: image(row)?, truth })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_class_is_reported_with_its_place_and_the_valid_ones() {
        let labels: Vec<String> = (0..12).map(|number| format!("class {number}")).collect();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("zebra")).unwrap();
        let error = Dataset::open(folder.path(), &labels).unwrap_err().to_string();
        assert!(error.starts_with("the folder \"zebra\" is not a class of this model"), "{error}");
        assert!(error.ends_with(": class 0, class 1, class 2, class 3, class 4, class 5, class 6, class 7, class 8, \
                                 class 9 and 2 more"), "{error}");

        let sample = Path::new("tests/data/cifar10-sample.parquet");
        let dataset = Dataset::open(sample, &labels[..2]).unwrap();
        let error =
            dataset.examples(&labels[..2]).unwrap().find_map(Result::err).unwrap().to_string();
        assert!(error.contains("cifar10-sample.parquet has the label "), "{error}");
        assert!(error.ends_with(", but the model has 2 classes, 0 to 1"), "{error}");
    }
}
