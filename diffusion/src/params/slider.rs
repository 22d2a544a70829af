//! Two sliders instead of a list of steps.

/// Steps of the schedule before creativity, by quality.
const QUALITY: [&[u32]; 4] = [&[6], &[6, 12], &[6, 12, 18], &[6, 12, 18, 24]];

/// A `t_index_list` for `steps` of the schedule. `quality` counts the steps that are done, 1..=4; with more
/// `creativity`, 0..=10, they begin earlier and the picture is further from the camera's. Values outside are
/// taken as the nearest inside. It rises, and is shorter than `quality` only if `steps` is.
#[must_use]
pub fn t_index_list(quality: usize, creativity: f64, steps: u32) -> Vec<u32> {
    let base = QUALITY[quality.clamp(1, 4) - 1];
    // A value that is no number would be no number here too.
    let creativity = if creativity.is_nan() {
        5.0
    } else {
        creativity.clamp(0.0, 10.0)
    };
    let stretch = 2.62 - 0.132 * creativity;
    let mut list = Vec::with_capacity(base.len());
    let mut limit = steps;
    for index in base.iter().rev() {
        if limit == 0 {
            break;
        }
        // At most 24 * 2.62.
        let stretched = (f64::from(*index) * stretch + 0.5).floor() as u32;
        limit = stretched.min(limit - 1);
        list.push(limit);
    }
    list.reverse();
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_values() {
        assert_eq!(t_index_list(4, 5.0, 50), [12, 24, 35, 47]);
        assert_eq!(t_index_list(4, 10.0, 50), [8, 16, 23, 31]);
        assert_eq!(t_index_list(1, 5.0, 50), [12]);
        assert_eq!(t_index_list(2, 10.0, 50), [8, 16]);
    }

    #[test]
    fn the_list_always_rises_and_stays_in_the_schedule() {
        for quality in 1..=4 {
            for tenth in 0..=100 {
                for steps in 1..=50 {
                    let list = t_index_list(quality, f64::from(tenth) / 10.0, steps);
                    assert!(
                        list.is_sorted_by(|a, b| a < b),
                        "{quality} {tenth} {steps}: {list:?}"
                    );
                    assert!(
                        list.iter().all(|&t| t < steps),
                        "{quality} {tenth} {steps}: {list:?}"
                    );
                    assert_eq!(list.len(), quality.min(steps as usize));
                }
            }
        }
    }

    #[test]
    fn what_is_outside_is_taken_as_the_nearest_inside() {
        assert_eq!(t_index_list(9, 99.0, 50), t_index_list(4, 10.0, 50));
        assert_eq!(t_index_list(0, -1.0, 50), t_index_list(1, 0.0, 50));
        assert_eq!(t_index_list(2, f64::NAN, 50), t_index_list(2, 5.0, 50));
    }
}
