//! Photos with the logits of the framework that trained a model, as `NumPy`'s `.npz`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use npyz::{DType, NpyFile, Order};
use zip::ZipArchive;
use zip::result::ZipError;

/// Maximum decompressed size of a reference: bytes for each byte of the file, and a constant. Photos are
/// already compressed, and logits are small.
const PER_BYTE: u64 = 16;
const ANYWAY: u64 = 16 << 20;

/// A photo with its logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// The name of its array, such as `photo_0`.
    pub name: String,
    /// The bytes of the image file.
    pub photo: Bytes,
    /// f32 `[classes]`.
    pub logits: Vec<f32>,
}

/// The file is not a reference.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is not a reference: {why}\n\
     hint: it holds arrays photo_0, photo_1, … (uint8, an image file's bytes) and logits (float32, \
     [photos, classes]); training/reference.py writes one",
    path.display()
)]
pub struct NotAReference {
    /// The file.
    path: PathBuf,
    /// The cause.
    why: String,
}

/// Reads all photos of the `.npz` file at `path`, in the order of their numbers.
///
/// # Errors
///
/// [`NotAReference`], with the cause.
pub fn open(path: &Path) -> Result<Vec<Reference>, NotAReference> {
    read(path).map_err(|why| NotAReference { path: path.to_owned(), why })
}

fn read(path: &Path) -> Result<Vec<Reference>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let packed = file.metadata().map_err(|error| error.to_string())?.len();
    let mut left = packed.saturating_mul(PER_BYTE).saturating_add(ANYWAY);
    let mut archive = ZipArchive::new(file).map_err(|error| error.to_string())?;
    let (rows, classes, logits) = logits(&mut archive, &mut left)?;
    let mut photos = photos(&mut archive, &mut left)?;
    if photos.len() != rows || rows == 0 {
        return Err(format!("it has {} photos and {rows} rows of logits", photos.len()));
    }
    let mut references = Vec::with_capacity(rows);
    for (number, logits) in logits.chunks(classes).enumerate() {
        let name = format!("photo_{number}");
        let photo = photos.remove(&number).ok_or_else(|| format!("there is no {name}"))?;
        references.push(Reference { name, photo, logits: logits.to_vec() });
    }
    Ok(references)
}

/// Rows, columns and elements of the array of logits.
fn logits(
    archive: &mut ZipArchive<File>,
    left: &mut u64,
) -> Result<(usize, usize, Vec<f32>), String> {
    let bytes = entry(archive, "logits.npy", left)?.ok_or("there is no array logits")?;
    let array = NpyFile::new(&bytes[..]).map_err(|error| format!("logits: {error}"))?;
    held(&array, &bytes).map_err(|why| format!("logits: {why}"))?;
    let shape: Vec<usize> =
        array.shape().iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    let &[rows, classes] = &shape[..] else {
        return Err(format!("logits has the shape {shape:?}, not [photos, classes]"));
    };
    if array.order() == Order::Fortran {
        return Err("logits is in Fortran order; save numpy.ascontiguousarray(logits)".to_owned());
    }
    if classes == 0 {
        return Err("logits has no classes".to_owned());
    }
    let unreadable = |error: std::io::Error| format!("logits: {error}");
    let values = match array.dtype() {
        DType::Plain(plain) if plain.to_string().ends_with("f8") => {
            #[expect(clippy::cast_possible_truncation, reason = "compared as float32")]
            let rounded = |value: f64| value as f32;
            array.into_vec::<f64>().map_err(unreadable)?.into_iter().map(rounded).collect()
        }
        DType::Plain(_) | DType::Array(..) | DType::Record(_) => {
            array.into_vec::<f32>().map_err(unreadable)?
        }
    };
    Ok((rows, classes, values))
}

/// The arrays `photo_0`, `photo_1` and so on, with their numbers.
fn photos(
    archive: &mut ZipArchive<File>,
    left: &mut u64,
) -> Result<BTreeMap<usize, Bytes>, String> {
    let names = archive.file_names().map(|name| name.map(std::borrow::Cow::into_owned));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let mut photos = BTreeMap::new();
    for name in names {
        let number = name.strip_prefix("photo_").and_then(|rest| rest.strip_suffix(".npy"));
        let Some(number) = number.and_then(|number| number.parse().ok()) else { continue };
        let bytes = entry(archive, &name, left)?.ok_or_else(|| format!("there is no {name}"))?;
        let array = NpyFile::new(&bytes[..]).map_err(|error| format!("{name}: {error}"))?;
        held(&array, &bytes).map_err(|why| format!("{name}: {why}"))?;
        let photo = array.into_vec::<u8>().map_err(|error| format!("{name}: {error}"))?;
        photos.insert(number, photo.into());
    }
    Ok(photos)
}

/// Checks that `bytes` contains as many elements as the array's shape announces, because memory is allocated
/// for them.
fn held(array: &NpyFile<&[u8]>, bytes: &[u8]) -> Result<(), String> {
    let elements = array.shape().iter().try_fold(1_u64, |product, &n| product.checked_mul(n));
    match elements {
        Some(elements) if elements <= bytes.len() as u64 => Ok(()),
        _ => Err(format!(
            "its shape {:?} has more elements than its {} bytes can hold; the file is damaged",
            array.shape(),
            bytes.len()
        )),
    }
}

/// A decompressed file of the archive, if it exists. Its size is subtracted from `left`.
fn entry(
    archive: &mut ZipArchive<File>,
    name: &str,
    left: &mut u64,
) -> Result<Option<Vec<u8>>, String> {
    let file = match archive.by_name(name) {
        Ok(file) => file,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(format!("{name}: {error}")),
    };
    let mut bytes = Vec::new();
    let most = left.saturating_add(1);
    file.take(most).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    *left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
        format!(
            "{name}: the arrays take more than {PER_BYTE} times the size of the file; save them without \
             compression"
        )
    })?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use npyz::WriterBuilder;
    use zip::write::SimpleFileOptions;

    use super::*;

    #[test]
    fn logits_in_fortran_order_are_rejected_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference.npz");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("logits.npy", SimpleFileOptions::default()).unwrap();
        let options = npyz::WriteOptions::new().default_dtype().shape(&[2, 3]);
        let mut array = options.order(Order::Fortran).writer(&mut archive).begin_nd().unwrap();
        array.extend([0.0_f32; 6]).unwrap();
        array.finish().unwrap();
        archive.flush().unwrap();
        archive.finish().unwrap();
        let error = open(&path).unwrap_err().to_string();
        assert!(
            error.contains("in Fortran order; save numpy.ascontiguousarray(logits)"),
            "{error}"
        );
    }
}
